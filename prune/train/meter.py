"""Sums of scalars that are not read at each step."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Values = dict[str, float]


class Meter:
    """Weighted sums of scalars by name, kept on the scalars' device: only reading them waits for it."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}

    def add(self, values: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Add `share` times each scalar to the sum of its name."""
        if values:
            row = torch.stack([value.detach().double() for value in values.values()])
            self._add(tuple(values), row, share)

    def merge(self, other: Meter, share: float = 1.0) -> None:
        """Add `share` times the sums of another meter to these."""
        for names, row in other._sums.items():
            self._add(names, row, share)

    def read(self) -> Values:
        """The sums; waits for the device. A sum is not finite if one of its terms was not."""
        found: Values = {}
        for names, row in self._sums.items():
            for name, value in zip(names, row.tolist(), strict=True):
                found[name] = found.get(name, 0.0) + value
        return found

    def _add(self, names: tuple[str, ...], row: Tensor, share: float) -> None:
        term = row * share
        self._sums[names] = self._sums[names] + term if names in self._sums else term


def all_finite(values: Values) -> bool:
    """Whether every value is finite."""
    return all(map(math.isfinite, values.values()))


def shown(values: Values) -> str:
    """The values for a message: `loss 1.2, box 0.3`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
