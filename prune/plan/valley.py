"""The valley between channels that are nearly dead and those that are in use: where a cut costs least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WIDTH = 3.0
"""How many times larger the upper edge of a valley is than its lower one."""
EMPTY = 0.01
"""A valley contains at most this share of the channels."""
REFERENCE = 0.9
"""The quantile of the scores that counts as the size of a channel in use."""
LOWEST, HIGHEST = 1e-4, 0.3
"""Valleys are searched for at these shares of the size of a channel in use."""
_STEPS = 200


@dataclass(frozen=True, slots=True)
class Valley:
    """threshold: the middle of the valley, a score. percent: the share of the channels below it. inside: the share that
    lies in the valley."""

    threshold: float
    percent: float
    inside: float

    @property
    def separated(self) -> bool:
        """Whether there are channels below, and hardly any inside."""
        return self.inside <= EMPTY and self.percent > 0


def find_valley(scores: Array, counts: Array | None = None) -> Valley:
    """The emptiest valley of some scores (N,), each of which stands for `counts` channels (default: one).

    Of equally empty ones that in the middle of the widest run. Raises ValueError without scores.
    """
    if not len(scores):
        raise ValueError("no scores")
    counts = np.ones(len(scores)) if counts is None else counts
    order = np.argsort(scores, kind="stable")
    values, below = scores[order], np.concatenate([[0.0], np.cumsum(counts[order])]) / counts.sum()
    size = max(float(values[min(int(np.searchsorted(below[1:], REFERENCE)), len(values) - 1)]), np.finfo(float).tiny)
    thresholds = size * np.geomspace(LOWEST, HIGHEST, _STEPS)

    def share_below(edges: Array) -> Array:
        return np.asarray(below[np.searchsorted(values, edges)])

    inside = share_below(thresholds * np.sqrt(WIDTH)) - share_below(thresholds / np.sqrt(WIDTH))
    best = _middle_of_longest_run(inside <= max(float(inside.min()), 0.0) + 1e-12)
    return Valley(float(thresholds[best]), float(share_below(thresholds[[best]])[0]), float(inside[best]))


def _middle_of_longest_run(flags: NDArray[np.bool_]) -> int:
    """The index in the middle of the longest run of true flags; of runs of one length the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    longest = int(np.flatnonzero(lengths == lengths.max())[-1])
    return int((starts[longest] + ends[longest] - 1) // 2)
