"""The valley between channels that are nearly dead and those that are in use: where a cut costs least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WIDTH = 3.0
"""How many times larger the upper edge of a valley is than its lower one."""
EMPTY = 0.01
"""A valley contains at most this share of the channels, and more than this share lies below it."""
DEPTH = 10.0
"""How many times more channels lie below a valley than in it."""
SMALL = 0.1
"""A channel is nearly dead only below this share of the size of a channel in use."""
LOWEST, HIGHEST = 1e-4, 0.3
"""Valleys are searched for at these shares of the size of a channel in use."""
_STEPS = 200


@dataclass(frozen=True, slots=True)
class Valley:
    """threshold: the middle of the valley, a score. percent: the share of the channels below it. inside: the share that
    lies in the valley.

    Where hardly any channel is nearly dead there is nothing to separate: all three are 0.
    """

    threshold: float
    percent: float
    inside: float

    @property
    def separated(self) -> bool:
        """Whether there are channels below, and hardly any inside."""
        return self.percent > 0 and self.inside <= min(EMPTY, self.percent / DEPTH)

    @property
    def edges(self) -> tuple[float, float]:
        """Where the valley begins and ends."""
        return self.threshold / WIDTH**0.5, self.threshold * WIDTH**0.5


def find_valley(scores: Array, counts: Array | None = None) -> Valley:
    """The emptiest valley of some scores (N,), each of which stands for `counts` channels (default: one).

    Of equally empty ones that in the middle of the widest run. Raises ValueError without scores.
    """
    if not len(scores):
        raise ValueError("no scores")
    counts = np.ones(len(scores)) if counts is None else np.asarray(counts, np.float64)
    order = np.argsort(scores, kind="stable")
    values, counts = scores[order], counts[order]
    below = np.concatenate([[0.0], np.cumsum(counts)]) / max(float(counts.sum()), 1.0)

    def share_below(edges: Array) -> Array:
        return np.asarray(below[np.searchsorted(values, edges)])

    size = size_in_use(values, counts)
    thresholds = size * np.geomspace(LOWEST, HIGHEST, _STEPS)
    some = share_below(thresholds / WIDTH**0.5) > EMPTY  # the two or three smallest of any scores stand apart by chance
    if size <= 0 or share_below(np.array([SMALL * size]))[0] <= EMPTY or not some.any():
        return Valley(0.0, 0.0, 0.0)
    inside = share_below(thresholds * WIDTH**0.5) - share_below(thresholds / WIDTH**0.5)
    inside[~some] = np.inf
    best = _middle_of_longest_run(inside <= float(inside.min()) + 1e-12)
    return Valley(float(thresholds[best]), float(share_below(thresholds[[best]])[0]), float(inside[best]))


def size_in_use(values: Array, counts: Array) -> float:
    """The size of a channel in use: half of the sum of all comes from smaller scores (infinite ones left out).

    Neither many dead channels nor a few large ones move it much; 0 where all are 0.
    """
    order = np.argsort(values, kind="stable")
    finite = order[np.isfinite(values[order])]
    largest = float(values[finite].max(initial=0.0))
    if largest <= 0:
        return 0.0
    total = np.cumsum(counts[finite] * (values[finite] / largest))
    return float(values[finite][np.searchsorted(total, total[-1] / 2)])


def _middle_of_longest_run(flags: NDArray[np.bool_]) -> int:
    """The index in the middle of the longest run of true flags; of runs of one length the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    longest = int(np.flatnonzero(lengths == lengths.max())[-1])
    return int((starts[longest] + ends[longest] - 1) // 2)
