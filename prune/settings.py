"""How settings are declared: fields of frozen dataclasses that carry their help text and the values they allow.

The command line makes flags from such fields (`prune.cli.parser`); settings know nothing of argparse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from prune.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers from `low` to `high`. `ends`: "[]" includes both, "()" neither, "[)" and "(]" one of them."""

    low: float = 0.0
    high: float = math.inf
    ends: str = "[]"

    def __contains__(self, value: float) -> bool:
        above = self.low <= value if self.ends[0] == "[" else self.low < value
        below = value <= self.high if self.ends[1] == "]" else value < self.high
        return above and below  # both are False for NaN

    def __str__(self) -> str:
        """The range in words, as it follows "must be"."""
        if self.high < math.inf:
            return f"within {self.ends[0]}{self.low:.12g}, {self.high:.12g}{self.ends[1]}"
        if self.low:
            return f"at least {self.low:.12g}" if self.ends[0] == "[" else f"above {self.low:.12g}"
        return "0 or more" if self.ends[0] == "[" else "positive"


NOT_NEGATIVE, POSITIVE, AT_LEAST_ONE = Interval(), Interval(ends="()"), Interval(1)
FRACTION, BELOW_ONE = Interval(0, 1), Interval(0, 1, "[)")


def option(
    default: T,
    help: str,
    *,
    metavar: str | None = None,
    within: Interval | None = None,
    choices: Collection[T] | None = None,
    parse: Callable[[str], Any] | None = None,
    flags: tuple[str, ...] | None = None,
    const: T | None = None,
    off: str | None = None,
    label: str | None = None,
    once: bool | None = None,
) -> T:
    """A dataclass field with a default, as an option of the command line.

    `within` and `choices`: the values that `check_options` accepts besides None. `parse`: text → value. `flags`:
    further spellings. `const`: the value of the flag without an argument. `off`: the flag that turns a bool off.
    `label`: how messages name a field that is not a flag. `once`: giving it twice is an error, instead of the last one
    counting.
    """
    given = {
        "help": help,
        "metavar": metavar,
        "within": within,
        "choices": choices,
        "parse": parse,
        "flags": flags,
        "const": const,
        "off": off,
        "label": label,
        "once": once,
    }
    made: T = field(default=default, metadata={key: value for key, value in given.items() if value is not None})
    return made


def check_options(settings: Any) -> None:
    """Raise UsageError naming the first field of the dataclass `settings` whose value its `option` does not allow."""
    for item in fields(settings):
        value, meta = getattr(settings, item.name), item.metadata
        name = meta.get("label", "--" + item.name.replace("_", "-"))
        if value is None:
            continue
        if "within" in meta and value not in meta["within"]:
            raise UsageError(f"{name} {value} must be {meta['within']}")
        if "choices" in meta and value not in meta["choices"]:
            raise UsageError(f"{name} {value} must be one of {', '.join(map(str, meta['choices']))}")
