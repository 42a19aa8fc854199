"""What a weights file contains, typed: a header, and one record per layer that owns floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.errors import PlanError

Floats = NDArray[np.float32]
BATCH_NORM_EPSILON = 1e-5
"""Darknet divides by sqrt(var + 1e-5)."""
NORMALIZATION_EPSILON = 1e-4
"""What Darknet adds to the sum it divides a shortcut's weights by (its `blas.c`)."""


@dataclass(frozen=True, slots=True)
class Header:
    """The head of a weights file. `seen` counts the images of the training so far."""

    major: int = 0
    minor: int = 2
    revision: int = 0
    seen: int = 0

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The header's layout in the file: `seen` is wide from version 0.2 on (major·10 + minor ≥ 2)."""
        wide = self.major * 10 + self.minor >= 2
        return np.dtype([("version", "<i4", 3), ("seen", "<i8" if wide else "<i4")])

    @property
    def transposed(self) -> bool:
        """Whether kernels of connected layers are stored (in, out), as in files of some old versions."""
        return self.major > 1000 or self.minor > 1000

    def to_bytes(self) -> bytes:
        """The header's bytes in the file."""
        return np.array([((self.major, self.minor, self.revision), self.seen)], self.dtype).tobytes()


@dataclass(frozen=True, slots=True)
class ConvParams:
    """The floats of a convolution or connected layer. weight (O, I/groups, K, K); all else (O,).

    Of a connected layer that reads (C, H, W) weight is (O, C, H, W).
    With batch norm `bias` is β and gamma, mean, var are set; without, they are None.
    """

    weight: Floats
    bias: Floats
    gamma: Floats | None = None
    mean: Floats | None = None
    var: Floats | None = None

    def arrays(self) -> tuple[Floats, ...]:
        """bias, with batch norm gamma, mean and var, and last the weight: a convolution's order in the file."""
        return (self.bias, *self.normal(), self.weight)

    def normal(self) -> tuple[Floats, ...]:
        """gamma, mean and var; nothing without batch norm."""
        if self.gamma is None or self.mean is None or self.var is None:
            return ()
        return (self.gamma, self.mean, self.var)

    @property
    def floats(self) -> int:
        """How many floats the record takes in the file."""
        return sum(array.size for array in self.arrays())


@dataclass(frozen=True, slots=True)
class ShortcutParams:
    """The factors of a weighted shortcut's inputs, before normalization: (n,) per feature or (n, C) per channel.

    Inputs are in the order of `Shortcut.inputs`, C is the width of the first.
    """

    weights: Floats

    def arrays(self) -> tuple[Floats, ...]:
        """The arrays in file order."""
        return (self.weights,)

    @property
    def floats(self) -> int:
        """How many floats the record takes in the file."""
        return self.weights.size

    def factors(self, normalization: str) -> NDArray[np.float64]:
        """What each input is multiplied by, in the shape of `weights`, for `Shortcut.normalization`."""
        weights = self.weights.astype(np.float64)
        if normalization == "none":
            return weights
        shares = np.maximum(weights, 0.0) if normalization == "relu" else np.exp(weights - weights.max(axis=0))
        factors: NDArray[np.float64] = shares / (NORMALIZATION_EPSILON + shares.sum(axis=0))
        return factors


Record = ConvParams | ShortcutParams


@dataclass(frozen=True, slots=True)
class Weights:
    """A header and one record per layer that owns floats, keyed by layer index."""

    header: Header
    records: Mapping[int, Record]

    def conv(self, index: int) -> ConvParams:
        """The record of a convolution or connected layer. Raises PlanError where there is none."""
        record = self.records.get(index)
        if not isinstance(record, ConvParams):
            raise PlanError(f"layer {index} has no floats of a convolution")
        return record

    def shortcut(self, index: int) -> ShortcutParams:
        """The record of a weighted shortcut. Raises PlanError where there is none."""
        record = self.records.get(index)
        if not isinstance(record, ShortcutParams):
            raise PlanError(f"layer {index} has no floats of a shortcut")
        return record

    @property
    def floats(self) -> int:
        """How many floats the file contains after its header."""
        return sum(record.floats for record in self.records.values())
