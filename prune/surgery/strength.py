"""Which member makes a channel constant: the one whose |γ| is the smallest counts as 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prune.darknet.records import BATCH_NORM_EPSILON, ConvParams
from prune.surgery.constant import Constant

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def own_strength(record: ConvParams) -> Array:
    """|γ| (O,); NaN without batch norm."""
    if record.gamma is None:
        return np.full(len(record.bias), np.nan)
    return np.abs(record.gamma.astype(np.float64))


def dead_by_input(own: Array, before: Array) -> Flags:
    """Which outputs (O,) of a depthwise convolution are constant because their input is, not by their own γ.

    own (O,): |γ|; before (I,): the strengths of its input.
    """
    before = np.repeat(before, len(own) // len(before))
    return np.asarray(~np.isnan(before) & ~(own <= before))


def inherited(record: ConvParams, shift: Array, own: Array, before: Array) -> tuple[Array, Array]:
    """Value before the activation, and strength, of depthwise channels that are dead.

    Dead by their own γ they are β; by that of their input they are what the kernel makes of its constant.
    """
    value = np.where(dead_by_input(own, before), normalised(record, shift), record.bias)
    return value, np.fmin(own, np.repeat(before, len(own) // len(before)))


def weaker(before: Constant, source: Constant) -> Array:
    """The value of the factor that makes a product constant; of kept channels the shifts of either."""
    first, second = (np.where(np.isnan(x.strength), np.inf, x.strength) for x in (before, source))
    value = np.where(first <= second, before.value, source.value)
    kept = np.isnan(before.strength) & np.isnan(source.strength)
    return np.where(kept, np.abs(before.value) + np.abs(source.value), value)


def normalised(record: ConvParams, x: Array) -> Array:
    """What batch norm, or the bias where there is none, makes of constants x (O,)."""
    if record.gamma is None or record.mean is None or record.var is None:
        return x + record.bias
    return record.gamma * (x - record.mean) / np.sqrt(record.var.astype(np.float64) + BATCH_NORM_EPSILON) + record.bias
