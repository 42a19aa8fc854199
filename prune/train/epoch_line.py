"""The line that is logged after each epoch; results.csv has all values in full."""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS = 120
"""Of a terminal: the line is not longer, nor is it broken."""
LEAST_FIRST = ("ap75", "cls", "obj", "box", "chosen", "ap", "lr", "s")
"""Which values are left out first where there is no room. Those not named here are left out before them, except
`loss` and `ap50`."""
ALWAYS = ("loss", "ap50")
SHARE, OTHER_SHARES = "gamma<0.01", "gamma<"
"""Of the shares of γ below thresholds, one is shown."""


def epoch_line(epoch: int, epochs: int, values: Mapping[str, float], seconds: float) -> str:
    """At most COLUMNS characters: `epoch 3/40  loss 2.31  box 0.58  …  ap50 0.812  12.3 s`."""
    shown = [name for name in values if name == SHARE or not name.startswith(OTHER_SHARES)]
    while True:
        words = [f"epoch {epoch}/{epochs}", *(_word(name, values[name]) for name in shown), f"{seconds:.1f} s"]
        line = "  ".join(words)
        optional = [name for name in shown if name not in ALWAYS]
        if len(line) <= COLUMNS or not optional:
            return line
        shown.remove(min(optional, key=_rank))


def _word(name: str, value: float) -> str:
    return f"{name} {100 * value:.0f} %" if name == SHARE else f"{name} {value:.3g}"


def _rank(name: str) -> int:
    """The smaller, the sooner a value is left out."""
    if name == SHARE:
        return len(LEAST_FIRST)
    return LEAST_FIRST.index(name) if name in LEAST_FIRST else -1
