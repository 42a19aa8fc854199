"""The zoo's rows as Markdown: a table, then its marks explained in words."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

from benchmarks.zoo_row import Blocks, Cut, Row

PERCENTS = (0.3, 0.6, 0.85)
_INTRODUCTION = """\
# What works with which cfg

Made by this command in {minutes:.0f} minutes of CPU time; do not edit.

    {command}

{count} cfgs, {green} of them green (✓), with Python {python}, {packages}.
Random, well-scaled weights (|γ| = 0.5 ± 0.2); the input of the numeric columns is two cells of the coarsest map per
side (64 × 64 pixels for a stride of 32).

- **reads**: layers and parameters. **round trip**: parsed and written, the cfg is the same byte for byte.
- **parity**: max\\|a − b\\| / max\\|b\\| over the heads (inputs, boxes, scores), our float32 forward pass against that
  of OpenCV's Darknet reader, its batch-norm ε corrected; up to 1e-4 is green. *numpy*: against the plain numpy
  reference of the tests (head inputs), where OpenCV does not read such a cfg or is known to deviate.
- **prunable**: the share of the channels with batch norm that can be pruned: by default (inputs of an upsample are
  protected) / with `--protect ''`.
- **cut at 30, 60, 85 %**: the share of all channels with batch norm that was removed under `--rule share` with
  `--tie union` / `first` / `freeze`. Each of the nine cuts passed the equivalence check, and OpenCV (or numpy) computed
  the same from the pruned pair; ✗ if not. Where it is less than requested, the rest is frozen, or a layer's last
  channel.
- **equivalence**, **re-read**: the largest deviation over all cuts and the removal of blocks: of the equivalence check
  (float64, allowed 1e-9), and between us and OpenCV (or numpy) on the pruned pair, read from its files (float32,
  allowed 1e-4).
- **blocks**: residual blocks that can be removed / found, and how many layers were removed with all of the former at
  once (equivalence and re-read as above).
"""


def format_table(rows: Sequence[Row], command: str) -> str:
    """The whole Markdown document."""
    head = _INTRODUCTION.format(
        count=len(rows),
        green=sum(row.green for row in rows),
        command=command,
        minutes=sum(row.seconds for row in rows) / 60,
        python=platform.python_version(),
        packages=", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "opencv-python")),
    )
    titles = [title for title, _ in _COLUMNS]
    lines = [titles, ["---"] * len(titles), *([cell(row) for _, cell in _COLUMNS] for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{head}\n{table}\n\n## Explanation of the marks\n\n" + "\n".join(_remarks(rows)) + "\n"


def _reads(row: Row) -> str:
    return "✗" if not row.layers else f"{row.layers} layers, {_short(row.parameters)}"


def _short(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.0f} k"


def _parity(row: Row) -> str:
    if row.parity is None:
        return "✗"
    return f"{row.parity:.0e}" + " (numpy)" * bool(row.unread)


def _prunable(row: Row) -> str:
    return f"{row.prunable:.1%} / {row.unprotected:.1%}".replace(".0%", "%")


def _cuts(percent: float) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        shares = [_cut(cut) for cut in row.cuts if cut.percent == percent]
        return " / ".join(shares) or "✗"

    return cell


def _cut(cut: Cut) -> str:
    return "✗" if cut.fault else f"{100 * cut.real:.0f}"


def _largest(values: Sequence[float]) -> str:
    return f"{max(values):.0e}" if values else "–"


def _results(row: Row) -> list[Cut | Blocks]:
    blocks: list[Cut | Blocks] = [row.blocks] if row.blocks.removable else []
    return [result for result in [*row.cuts, *blocks] if not result.fault]


def _equivalence(row: Row) -> str:
    return _largest([result.equivalence for result in _results(row)])


def _reread(row: Row) -> str:
    return _largest([result.reread for result in _results(row)])


def _blocks(row: Row) -> str:
    if not row.blocks.found:
        return "none"
    gone = "✗" if row.blocks.fault else f"{row.blocks.layers_removed} layers"
    return f"{row.blocks.removable} / {row.blocks.found}" + (f", {gone}" if row.blocks.removable else "")


_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("cfg", lambda row: f"`{row.name}`"),
    ("green", lambda row: "✓" if row.green else "✗"),
    ("reads", _reads),
    ("round trip", lambda row: "✓" if row.round_trip else "✗"),
    ("parity", _parity),
    ("prunable %", lambda row: _prunable(row).replace("%", "")),
    ("cut at 30 %", _cuts(0.3)),
    ("60 %", _cuts(0.6)),
    ("85 %", _cuts(0.85)),
    ("equivalence", _equivalence),
    ("re-read", _reread),
    ("blocks", _blocks),
)


def _remarks(rows: Sequence[Row]) -> Iterator[str]:
    """One item for each cfg with remarks, faults first."""
    for row in sorted(rows, key=lambda row: row.green):
        words = list(dict.fromkeys(_words(row)))
        if words:
            yield f"- `{row.name}`: " + "; ".join(words)


def _words(row: Row) -> Iterator[str]:
    yield from (f"**{fault}**" for fault in row.faults)
    if row.unread:
        yield f"compared with the numpy reference: {row.unread}"
    if row.note:
        yield row.note
    for reason, channels in row.frozen.items():
        yield f"{channels} channels are kept: {reason}"
    for reason, count in row.blocks.kept.items():
        yield f"{count} block{'s' * (count > 1)} must be kept: {reason}"
    if row.warnings:
        yield f"{row.warnings} line{'s' * (row.warnings > 1)} of the cfg ignored with a warning"
    if notes := max((cut.notes for cut in row.cuts), default=0):
        yield f"cut, up to {notes} of its layers lose constants that cannot be absorbed exactly (notes of the plan)"
