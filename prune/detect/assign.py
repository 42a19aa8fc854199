"""Assignment: which anchor in which cell of which head learns which object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prune.darknet.head_rules import anchors_in_pixels, head_rules
from prune.darknet.layers import Head
from prune.detect.boxes import wh_iou


@dataclass(frozen=True, slots=True)
class Assignment:
    """The targets of one head: P different places, and the object at each.

    `image`, `anchor` (position in the head's mask), `row`, `column`, `classes`: (P,) int64, from 0.
    `boxes`: (P, 4) float32 cxcywh, fractions of the network input.
    """

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    classes: Tensor
    boxes: Tensor

    def __len__(self) -> int:
        return len(self.image)

    @property
    def place(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Index of a (B, A, H, W) tensor: selects the P places."""
        return self.image, self.anchor, self.row, self.column


def assign(
    targets: Tensor,
    heads: Sequence[Head],
    grids: Sequence[tuple[int, int]],
    net_size_wh: tuple[int, int],
    match_iou: float | None,
    shared_places: bool = False,
) -> list[Assignment]:
    """Distribute objects over the heads by shape: one Assignment per head.

    targets (N, 6): image in the batch, class, cxcywh as fractions of the network input; grids: (rows,
    columns) of each head. An object is assigned to the anchor of the most similar shape of all heads together
    (Redmon and Farhadi, "YOLOv3", 2018, section 2.1), and also to every anchor whose shape IoU with it is above
    `match_iou` (AlexeyAB's Darknet, option `iou_thresh`, which None takes from each head): that gives small
    datasets several times the positives. Where several objects have one place, it keeps the one whose shape
    fits best, or with `shared_places` all of them. Objects without area, and classes that a head does not know,
    are left out.
    """
    shape_iou = _shape_iou(targets, heads, grids, net_size_wh)
    best = shape_iou.argmax(1, keepdim=True)
    thresholds = [head_rules(h).iou_thresh if match_iou is None else match_iou for h in heads for _ in range(h.boxes)]
    chosen = shape_iou > torch.tensor(thresholds, device=targets.device)
    chosen = chosen.scatter(1, best, value=True) & (shape_iou >= 0)
    found, first = [], 0
    for head, grid in zip(heads, grids, strict=True):
        part = slice(first, first + head.boxes)
        found.append(_place(targets, shape_iou[:, part], chosen[:, part], grid, shared_places))
        first = part.stop
    return found


def _shape_iou(
    targets: Tensor, heads: Sequence[Head], grids: Sequence[tuple[int, int]], net_size_wh: tuple[int, int]
) -> Tensor:
    """(N, K): shape IoU of each object with each anchor of all heads; -1 where it must not be assigned."""
    device = targets.device
    pixels = [a for h, grid in zip(heads, grids, strict=True) for a in anchors_in_pixels(h, grid, net_size_wh)]
    anchors = torch.tensor(pixels, dtype=torch.float32, device=device)
    classes = torch.tensor([h.classes for h in heads for _ in range(h.boxes)], device=device)
    sizes = targets[:, 4:6] * torch.tensor(net_size_wh, device=device)
    allowed = (targets[:, 1:2] < classes) & (sizes > 0).all(1, keepdim=True)
    return torch.where(allowed, wh_iou(sizes, anchors), -1.0)


def _place(
    targets: Tensor, shape_iou: Tensor, chosen: Tensor, grid: tuple[int, int], shared_places: bool
) -> Assignment:
    """The places of one head from the objects × anchors that were chosen (N, A)."""
    rows, columns = grid
    target, anchor = chosen.nonzero(as_tuple=True)
    image, classes, boxes = targets[target, 0].long(), targets[target, 1].long(), targets[target, 2:6]
    column = (boxes[:, 0] * columns).long().clamp(0, columns - 1)
    row = (boxes[:, 1] * rows).long().clamp(0, rows - 1)
    if shared_places:
        return Assignment(image, anchor, row, column, classes, boxes)
    key = ((image * chosen.shape[1] + anchor) * rows + row) * columns + column
    keep = _best_of_each(key, shape_iou[target, anchor])
    return Assignment(image[keep], anchor[keep], row[keep], column[keep], classes[keep], boxes[keep])


def _best_of_each(key: Tensor, value: Tensor) -> Tensor:
    """Indices of the entries with the highest value among those of equal key (of equals, the first)."""
    order = value.argsort(descending=True, stable=True)
    order = order[key[order].argsort(stable=True)]
    ordered = key[order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return order[first]
