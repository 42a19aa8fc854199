"""Placement of labels: inside the picture, at their box, without covering another label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Edges = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels."""
Wh = tuple[int, int]
Ints = NDArray[np.int64]
_STEPS = 6


def find_place(label_wh: Wh, box: Edges, taken: Sequence[Edges], canvas_wh: Wh) -> Edges | None:
    """A free place for a label of `label_wh` at `box`, the most usual first: above its left corner, inside it, below
    it, then along its edges. None where all of them reach beyond the picture or overlap one of `taken`."""
    width, height = label_wh
    if width > canvas_wh[0] or height > canvas_wh[1]:
        return None
    x, y = _corners(label_wh, box)
    x = x.clip(0, canvas_wh[0] - width)
    free = (y >= 0) & (y + height <= canvas_wh[1])
    left, top, right, bottom = np.array(taken, np.int64).reshape(-1, 4).T[:, None, :]
    column, row = x[:, None], y[:, None]
    apart = (left >= column + width) | (right <= column) | (top >= row + height) | (bottom <= row)
    fitting = np.flatnonzero(free & apart.all(axis=1))
    if not len(fitting):
        return None
    x0, y0 = int(x[fitting[0]]), int(y[fitting[0]])
    return x0, y0, x0 + width, y0 + height


def _corners(label_wh: Wh, box: Edges) -> tuple[Ints, Ints]:
    """x (n,) and y (n,) of left upper corners of a label at a box, best first."""
    (width, height), (x0, y0, x1, y1) = label_wh, box
    along = np.linspace(x0, x1 - width, _STEPS + 1)  # from the left edge of the box to its right one
    outside = [y0 - height, y0, y1, y1 - height]
    inner = np.linspace(y0, y1 - height, _STEPS + 1)[1:-1]
    beside = [x0, x1 - width, (x0 + x1 - width) // 2, x1, x0 - width]
    x = np.concatenate((np.repeat(along, len(outside)), np.tile(beside, len(inner))))
    y = np.concatenate((np.tile(outside, len(along)), np.repeat(inner, len(beside))))
    return x.round().astype(np.int64), y.round().astype(np.int64)
