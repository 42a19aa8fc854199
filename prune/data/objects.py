"""Boxes of one image that should not be there: the same one twice, and those that leave the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prune.detect.sample import Sample

SAME = 0.1
"""Two boxes are the same if none of their edges are farther apart, in pixels: what rounding leaves."""
OVERHANG = 1.0
"""How far beyond the image a box may reach, in pixels: conventions differ by one."""

Pairs = NDArray[np.int64]


def same_boxes(sample: Sample, size_wh: tuple[int, int]) -> tuple[Pairs, Pairs]:
    """Pairs (n, 2) of objects with the same box, the earlier first: of one class, and of two."""
    edges = sample.pixel_edges(size_wh)
    order = np.argsort(edges[:, 0], kind="stable")
    pairs = [pair for at in range(len(order)) for pair in _followers(edges, order, at)]
    table = np.array(pairs, np.int64).reshape(-1, 2)
    alike = sample.classes[table[:, 0]] == sample.classes[table[:, 1]]
    return table[alike], table[~alike]


def _followers(edges: NDArray[np.float64], order: NDArray[np.int64], at: int) -> list[tuple[int, int]]:
    """The pairs of the box at this place of the order (by left edge) with the same ones behind it."""
    end = np.searchsorted(edges[order, 0], edges[order[at], 0] + SAME, side="right")
    behind = order[at + 1 : end]
    same = behind[(np.abs(edges[behind] - edges[order[at]]) <= SAME).all(axis=1)]
    first = int(order[at])
    return [(min(first, int(other)), max(first, int(other))) for other in same]


def overhanging(sample: Sample, size_wh: tuple[int, int]) -> NDArray[np.int64]:
    """The objects whose box, as annotated in pixels, reaches beyond the image by more than `OVERHANG`; none where the
    source has fractions (they were clipped, see `labels.overhangs`)."""
    if sample.edges_xyxy is None:
        return np.zeros(0, np.int64)
    low, high = sample.edges_xyxy[:, :2], sample.edges_xyxy[:, 2:]
    beyond = np.maximum(-low, high - np.array(size_wh, np.float64)).max(axis=1, initial=-np.inf)
    return np.asarray(np.flatnonzero(beyond > OVERHANG), np.int64)
