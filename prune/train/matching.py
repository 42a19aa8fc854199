"""Which cell predicts which object: the anchor of the best-fitting shape, in the cell of the object's centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prune.darknet.layers import Head
from prune.detect.assign import Assignment, assign


@dataclass(frozen=True, slots=True)
class Match:
    """Matched cells of one head: `cells` (n, 4): image, anchor, row, column; `boxes` (n, 5): centre offset from
    the cell's corner in cells (x, y), width and height in pixels, index of the anchor in this head."""

    cells: Tensor
    boxes: Tensor

    def select(self, values: Tensor) -> Tensor:
        """(B, A, 5+C, H, W) → (n, 5+C) at the matched cells."""
        image, anchor, row, column = self.cells.unbind(1)
        return values[image, anchor, :, row, column]


def matched_cells(
    targets: Tensor, heads: Sequence[Head], grids_hw: Sequence[tuple[int, int]], size_wh: tuple[int, int]
) -> list[Match]:
    """One Match per head. `targets` (N, 6): image, class, cxcywh normalised; `size_wh`: network input in pixels.

    Each object is assigned to one anchor of all heads, the one with the highest shape IoU (see `assign`); objects may
    share a cell.
    """
    found = assign(targets, heads, grids_hw, size_wh, math.inf, shared_places=True)
    return [_match(each, grid, size_wh) for each, grid in zip(found, grids_hw, strict=True)]


def _match(found: Assignment, grid_hw: tuple[int, int], size_wh: tuple[int, int]) -> Match:
    cells = torch.stack((found.image, found.anchor, found.row, found.column), 1)
    boxes = found.boxes * found.boxes.new_tensor((*grid_hw[::-1], *size_wh))
    boxes[:, :2] -= cells[:, [3, 2]]
    return Match(cells, torch.cat((boxes, found.anchor[:, None].to(boxes.dtype)), 1))
