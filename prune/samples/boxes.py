"""Boxes as numpy arrays: centre and size to edges and back, clipping, areas and IoU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
Edges = tuple[float, float, float, float]
"""x0, y0, x1, y1 of one box."""


def to_edges(cxcywh: NDArray[np.floating[Any]]) -> Boxes:
    """(n, 4) centre and size → (n, 4) x0, y0, x1, y1 in float64, in the same unit."""
    boxes = cxcywh.astype(np.float64)
    half = boxes[:, 2:] / 2
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)


def to_centres(xyxy: NDArray[np.floating[Any]]) -> Boxes:
    """(n, 4) x0, y0, x1, y1 → (n, 4) centre and size in float64, in the same unit."""
    low, high = xyxy[:, :2].astype(np.float64), xyxy[:, 2:].astype(np.float64)
    return np.concatenate(((low + high) / 2, high - low), axis=1)


def edges_around(points: Sequence[float]) -> Edges:
    """The box around points x, y, x, y, …, in their unit; at least one."""
    xs, ys = points[0::2], points[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def clip_edges(xyxy: Boxes, size_wh: tuple[float, float]) -> Boxes:
    """The part of each box that lies within [0, w] × [0, h]; where there is none, inside out (negative size)."""
    limit = np.array((*size_wh, *size_wh))
    low = np.maximum(xyxy[:, :2], 0.0)
    high = np.minimum(xyxy[:, 2:], limit[2:])
    return np.concatenate((low, high), axis=1)


def area(xyxy: Boxes) -> NDArray[np.float64]:
    """(n,) areas; 0 for a box that is inside out."""
    size = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 0.0)
    return np.asarray(size[:, 0] * size[:, 1])


def pairwise_iou(a: Boxes, b: Boxes) -> Boxes:
    """(n, m) intersection over union of edges (n, 4) and (m, 4); 0 where both have no area."""
    common = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def intersection(a: Boxes, b: Boxes) -> Boxes:
    """(n, m) common areas of edges (n, 4) and (m, 4)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    size = np.maximum(high - low, 0.0)
    return np.asarray(size[..., 0] * size[..., 1])
