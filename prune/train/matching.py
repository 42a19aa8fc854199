"""Which cell predicts which object: the anchor of the best-fitting shape, in the cell of the object's centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prune.darknet.layers import Head
from prune.detect.boxes import wh_iou
from prune.detect.heads import anchors_in_pixels


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

    Each object is assigned to one anchor of all heads, the one with the highest shape IoU (Redmon and Farhadi
    2018, "YOLOv3", section 2.1).
    """
    sizes = targets[:, 4:6] * targets.new_tensor(size_wh)
    grids = zip(heads, grids_hw, strict=True)
    anchors = targets.new_tensor([a for head, grid in grids for a in anchors_in_pixels(head, grid, size_wh)])
    best = wh_iou(sizes, anchors).argmax(1)
    matches, first = [], 0
    for head, grid in zip(heads, grids_hw, strict=True):
        last = first + head.boxes
        here = (best >= first) & (best < last)
        matches.append(_match(targets[here], sizes[here], best[here] - first, grid))
        first = last
    return matches


def _match(targets: Tensor, sizes: Tensor, anchors: Tensor, grid_hw: tuple[int, int]) -> Match:
    height, width = grid_hw
    centres = targets[:, 2:4] * targets.new_tensor([width, height])
    column, row = centres[:, 0].long().clamp(0, width - 1), centres[:, 1].long().clamp(0, height - 1)
    offsets = centres - torch.stack((column, row), 1)
    cells = torch.stack((targets[:, 0].long(), anchors, row, column), 1)
    return Match(cells, torch.cat((offsets, sizes, anchors[:, None].to(sizes.dtype)), 1))
