"""The detections of two networks in one image: in common, lost, new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.metrics.matching import greedy_pairs
from prune.samples.boxes import Boxes, pairwise_iou

SAME_IOU = 0.5
"""Boxes of one class that overlap by at least this mean the same object."""


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Indices, from 0, into the detections before and after: `kept` (k, 2) pairs, `lost` (l,) of those before, `new`
    (n,) of those after."""

    kept: NDArray[np.int64]
    lost: NDArray[np.int64]
    new: NDArray[np.int64]


def find_changes(before: Boxes, after: Boxes, iou: float = SAME_IOU) -> Changes:
    """Match detections (n, 6) and (m, 6) of one image (x0 y0 x1 y1, score, class) one to one within a class, the
    largest overlap first; overlaps below `iou` do not match."""
    overlap = pairwise_iou(before[:, :4], after[:, :4])
    overlap[before[:, 5][:, None] != after[:, 5][None, :]] = 0.0
    pairs = greedy_pairs(overlap, np.zeros(len(before)), iou)
    kept = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    lost = np.setdiff1d(np.arange(len(before)), kept[:, 0])
    return Changes(kept, lost, np.setdiff1d(np.arange(len(after)), kept[:, 1]))
