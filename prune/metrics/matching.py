"""Which detection of an image found which of its objects: COCO's, VOC's and Darknet's rules.

A detection gets the index of its object, UNMATCHED (a false positive), or IGNORED (it counts as neither). An object is
matched at most once, by the detection with the highest score of those that may.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prune.samples.boxes import area, intersection, pairwise_iou

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

UNMATCHED, IGNORED = -1, -2


def match_voc(overlap: Floats, scores: Floats, ignored: Bools, iou: float = 0.5) -> Ints:
    """The devkit's rule (VOCevaldet.m): a detection belongs to the object that it overlaps best, by `iou` or more. If
    a better detection has taken that object, it is a false positive; if the object is ignored (difficult), so is the
    detection.

    overlap (n, m): of each detection with each object of its class, negative where the classes differ; scores (n,).
    Returns (n,).
    """
    if not overlap.size:
        return np.full(len(overlap), UNMATCHED)
    best = np.where(overlap.max(1) >= iou, overlap.argmax(1), UNMATCHED)
    hidden = (best != UNMATCHED) & ignored[best]
    return np.where(hidden, IGNORED, first_of_each(np.where(hidden, UNMATCHED, best), scores))


def best_darknet(overlap: Floats, ignored: Bools, iou: float = 0.5) -> Ints:
    """Darknet's object for each detection (validate_detector_map): the one that counts and is overlapped best, by more
    than `iou`; else IGNORED where it overlaps an ignored (difficult) one so, UNMATCHED where it overlaps none. Several
    detections may have the same object here. Arguments as for `match_voc`."""
    if not overlap.size:
        return np.full(len(overlap), UNMATCHED)
    counted = np.where(ignored, -1.0, overlap)
    near_ignored = (np.where(ignored, overlap, -1.0) > iou).any(1)
    return np.where(counted.max(1) > iou, counted.argmax(1), np.where(near_ignored, IGNORED, UNMATCHED))


def match_darknet(overlap: Floats, scores: Floats, ignored: Bools, iou: float = 0.5) -> Ints:
    """`best_darknet`, where all detections of an object except the best-scored one are false positives."""
    best = best_darknet(overlap, ignored, iou)
    return np.where(best == IGNORED, IGNORED, first_of_each(best, scores))


def match_coco(overlap: Floats, scores: Floats, crowd: Bools, iou: float = 0.5) -> Ints:
    """COCO's rule at one threshold (pycocotools, `COCOeval.evaluateImg`): by falling score each detection takes the
    free object that it overlaps best, by `iou` or more; without one, it is ignored if it overlaps a crowd region so.
    Arguments as for `match_voc`; the overlap with a crowd region is the share of the detection within it."""
    matches = np.full(len(overlap), UNMATCHED)
    free = ~crowd
    for row in np.argsort(-scores, kind="stable"):
        reached = overlap[row] >= iou
        candidates = (reached & free).nonzero()[0]
        if len(candidates):
            # Of equal overlaps the last object, as in pycocotools.
            matches[row] = candidates[::-1][overlap[row, candidates[::-1]].argmax()]
            free[matches[row]] = False
        elif (reached & crowd).any():
            matches[row] = IGNORED
    return matches


def first_of_each(best: Ints, scores: Floats) -> Ints:
    """(n,) objects (or UNMATCHED) where only the best-scored detection of each object keeps it; of equal ones the
    first."""
    order = np.argsort(-scores, kind="stable")
    ranked = best[order]
    objects, first = np.unique(ranked, return_index=True)
    matches = np.full(len(best), UNMATCHED)
    matches[order[first[objects != UNMATCHED]]] = objects[objects != UNMATCHED]
    return matches


def same_class(overlap: Floats, found: Ints | Floats, objects: Ints) -> Floats:
    """`overlap` (n, m), −1 where the class of the detection (n,) is not that of the object (m,)."""
    return np.where(found[:, None] == objects[None, :], overlap, -1.0)


def coco_overlap(found: Floats, boxes: Floats, crowd: Bools) -> Floats:
    """(n, m) IoU of edges (n, ≥4) and (m, 4); for a crowd region the share of the detection within it."""
    overlap = pairwise_iou(found[:, :4], boxes)
    if not crowd.any():
        return overlap
    within = intersection(found[:, :4], boxes[crowd]) / np.maximum(area(found[:, :4]), 1e-12)[:, None]
    overlap[:, crowd] = within
    return overlap


def inclusive_iou(a: Floats, b: Floats) -> Floats:
    """(n, m) IoU of boxes (n, 4) and (m, 4) whose both ends are inclusive pixels, hence the + 1."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.maximum(high - low + 1, 0).prod(-1)
    size_a, size_b = (np.maximum(box[:, 2:] - box[:, :2] + 1, 0).prod(-1) for box in (a, b))
    union = size_a[:, None] + size_b[None, :] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def greedy_pairs(overlap: Floats, scores: Floats, iou: float) -> list[tuple[int, int]]:
    """(row, column) pairs of overlap (n, m) of at least `iou`, each row and column at most once: the largest overlap
    first, of equal ones the highest of scores (n,), then the first."""
    rows, columns = (overlap >= iou).nonzero()
    order = np.lexsort((-scores[rows], -overlap[rows, columns]))
    pairs: list[tuple[int, int]] = []
    used_rows, used_columns = set[int](), set[int]()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            pairs.append((row, column))
            used_rows.add(row)
            used_columns.add(column)
    return pairs
