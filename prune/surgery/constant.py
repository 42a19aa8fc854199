"""How layers that mix channels transform constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.graph.folds import folded

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Constant:
    """Per channel: the constant removed from it (`value`) and the |γ| that makes it constant (`strength`).

    value (C,): of a cut channel its constant, of a kept one the shift it lost; 0 where unknown.
    strength (C,): of the member that makes the channel constant; NaN where it is not constant, infinite where it is
    only assumed to be 0.
    """

    value: Array
    strength: Array


def no_constant(channels: int) -> Constant:
    """Channels that are not constant and lost no shift."""
    return Constant(np.zeros(channels), np.full(channels, np.nan))


def max_over_depth(x: Constant, width: int) -> tuple[Constant, Flags]:
    """The largest of the channels g, g + width, … for each g < width, and where a shift is lost.

    It is constant where all of them are; a shift passes where all have the same.
    """
    low, high = folded(x.value, width, np.inf).min(axis=0), folded(x.value, width, -np.inf).max(axis=0)
    strength = folded(x.strength, width, 0.0).max(axis=0)
    lost = np.isnan(strength) & (low != high)
    return Constant(np.where(lost, 0.0, high), strength), lost


def interleaved(x: Constant, width: int) -> tuple[Constant, Flags]:
    """Depth to space: the channels g, g + width, … side by side in channel g < width.

    Where they differ their mean is taken, and the second result is True.
    """
    values = folded(x.value, width, np.nan)
    strength = folded(x.strength, width, np.nan).max(axis=0)
    return Constant(values.mean(axis=0), strength), np.ptp(values, axis=0) > 0


def reorg(x: Constant, sources: NDArray[np.int64]) -> tuple[Constant, Flags]:
    """Darknet's old reorg; sources (n, n, P) as of `pixel_sources`.

    An output is constant where all that it mixes is. Where their values differ the mean over the pixels is taken,
    and the second result is True.
    """
    blocks, runs = len(sources), x.value.reshape(-1, len(sources))
    value, strength = np.zeros((blocks, len(runs), blocks)), np.full((blocks, len(runs), blocks), np.nan)
    differs = np.zeros(value.shape, bool)
    strengths = x.strength.reshape(runs.shape)
    for run in np.flatnonzero(runs.any(axis=1) | ~np.isnan(strengths).all(axis=1)):
        pixels = runs[run][sources]
        value[:, run] = pixels.mean(axis=2)
        differs[:, run] = np.ptp(pixels, axis=2) > 0
        strength[:, run] = strengths[run][sources].max(axis=2)
    value = np.where(differs, value, _flat(runs, sources))
    return Constant(value.ravel(), strength.ravel()), differs.ravel()


def _flat(runs: Array, sources: NDArray[np.int64]) -> Array:
    """The value of the first pixel of each output: exact where all its pixels are equal."""
    return runs[:, sources[:, :, 0]].transpose(1, 0, 2)
