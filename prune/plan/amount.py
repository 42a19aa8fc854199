"""How much of a network is to be left: an absolute number, or a share such as `0.15x`."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from prune.darknet.cfg import shown
from prune.errors import UsageError

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_FORM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(x|k|M|G)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Amount:
    """`value` of something, or with `relative` that share of what the whole network has."""

    value: float
    relative: bool

    def of(self, whole: float) -> float:
        """The number that is to be left of `whole`."""
        return self.value * whole if self.relative else self.value

    def exact(self) -> str:
        """The text from which `parse_amount` makes the same amount."""
        return np.format_float_positional(self.value, trim="-") + "x" * self.relative

    def __str__(self) -> str:
        return f"{self.value:g}x" if self.relative else f"{self.value:,.10g}"


def parse_measured(text: str) -> Amount:
    """`0.15x`: a share in (0, 1); `3.4`: a number of what has a unit already. Raises UsageError for anything else."""
    amount = parse_amount(text)
    if text.strip()[-1] in "kMG":
        raise UsageError(f"{shown(text)}: give a share such as 0.15x, or a number such as 3.4 without k, M or G")
    return amount


def parse_amount(text: str) -> Amount:
    """`0.15x`: a share in (0, 1); `861421`, `850k`, `1.2M`, `3G`: a number. Raises UsageError for anything else."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{shown(text)} is not an amount: give a share such as 0.15x, or a number such as 850k or 1.2M"
        )
    value, unit = float(found[1]), found[2] or ""
    if unit == "x":
        if not 0 < value < 1:
            raise UsageError(f"{shown(text)}: a share must lie between 0x and 1x")
        return Amount(value, relative=True)
    if value <= 0:
        raise UsageError(f"{shown(text)}: must be more than 0")
    return Amount(value * UNITS[unit], relative=False)
