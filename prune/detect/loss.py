"""The training loss of `[yolo]` heads.

For each image, over all heads together:

    box = box_gain · mean over its positives of (1 − IoU family)
    obj = obj_gain · mean over all boxes of BCE(objectness)
    cls = cls_gain · mean over its positives of Σ over classes of BCE(class)

and the loss is the mean of these sums over the images of the batch. Every mean is taken inside an image, so
the loss of a batch is exactly the mean of the losses of its parts: accumulating gradients over small batches
gives the large batch's. As in Darknet each cell weighs the same in `obj` whatever its head; a box that is no
positive but overlaps an object by more than `ignore_thresh` counts 0 there. The class loss is taken for a
single class as well: readers of the network multiply by its probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.layers import Yolo
from prune.detect.assign import Assignment, assign
from prune.detect.boxes import aligned_iou, cxcywh_to_xyxy, pairwise_iou
from prune.detect.decode import HeadGeometry, decode_boxes, decode_wh, decode_xy, head_geometry, split_head
from prune.detect.settings import LossSettings

# Outputs that are already logistic are turned back into logits at no closer than this to 0 and 1.
_PROBABILITY_MARGIN = 1e-6
# Objects compared with all boxes at a time: bounds the memory of a mosaic full of small objects.
_CHUNK = 16


@dataclass(frozen=True, slots=True)
class LossParts:
    """Scalars, each a mean per image of the batch with its gain applied; total = box + obj + cls."""

    total: Tensor
    box: Tensor
    obj: Tensor
    cls: Tensor


class YoloLoss:
    """The loss for a network with these heads (of any number, each with its own classes)."""

    def __init__(self, heads: Sequence[Yolo], settings: LossSettings, net_size_wh: tuple[int, int]) -> None:
        """`net_size_wh`: size in pixels of the images, unless a call says otherwise."""
        self.heads, self.settings, self.net_size_wh = tuple(heads), settings, net_size_wh

    def __call__(self, raw: Sequence[Tensor], targets: Tensor, net_size_wh: tuple[int, int] | None = None) -> LossParts:
        """raw: each head's input (B, A·(5+C), H, W) in cfg order, any float type (computed in float32).

        targets (N, 6): image in the batch, class, cxcywh as fractions of the network input; N may be 0.
        """
        with torch.autocast(raw[0].device.type, enabled=False):
            values = [split_head(r.float(), h) for r, h in zip(raw, self.heads, strict=True)]
            return self._parts(values, targets.to(raw[0].device).float(), net_size_wh or self.net_size_wh)

    def _parts(self, values: list[Tensor], targets: Tensor, size: tuple[int, int]) -> LossParts:
        grids = [(int(v.shape[3]), int(v.shape[4])) for v in values]
        assigned = assign(targets, self.heads, grids, size, self.settings.match_iou)
        batch = len(values[0])
        image = torch.cat([a.image for a in assigned])
        # What one positive weighs: the mean inside its image, then over images.
        weight = 1 / (image.bincount(minlength=batch).clamp_min(1) * batch)
        truths = padded_truths(targets, batch)
        box, cls, obj = values[0].new_zeros(3).unbind()
        for head, value, places in zip(self.heads, values, assigned, strict=True):
            at_places = value.permute(0, 1, 3, 4, 2)[places.place]
            iou = self._box_iou(head, at_places, places, (value.shape[4], value.shape[3]), size)
            box = box + ((1 - iou) * weight[places.image]).sum()
            cls = cls + (self._class_loss(head, at_places, places) * weight[places.image]).sum()
            obj = obj + self._objectness_sum(head, value, places, iou, truths, size)
        boxes = sum(v[:, :, 4].numel() for v in values)
        gains = self.settings
        box, obj, cls = box * gains.box_gain, obj * (gains.obj_gain / boxes), cls * gains.cls_gain
        return LossParts(box + obj + cls, box, obj, cls)

    def _box_iou(
        self, head: Yolo, at_places: Tensor, places: Assignment, cells: tuple[int, int], size: tuple[int, int]
    ) -> Tensor:
        """(P,) agreement of the boxes at the positives with their objects, taken in pixels."""
        boxes = boxes_at(at_places, places, head_geometry(head, at_places), cells, size)
        truth = places.boxes * torch.tensor((*size, *size), device=boxes.device)
        return aligned_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth), self.settings.box_loss)

    def _class_loss(self, head: Yolo, at_places: Tensor, places: Assignment) -> Tensor:
        """(P,) BCE summed over classes."""
        smooth = self.settings.label_smoothing
        smooth = head.label_smooth_eps if smooth is None else smooth
        truth = F.one_hot(places.classes, head.classes).to(at_places.dtype) * (1 - smooth) + smooth / 2
        logits = as_logits(at_places[:, 5:], head.new_coords)
        return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1)

    def _objectness_sum(
        self, head: Yolo, value: Tensor, places: Assignment, iou: Tensor, truths: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """BCE of objectness summed over all boxes of the head that are not ignored."""
        ignore = self.settings.ignore_iou
        ignore = head.ignore_thresh if ignore is None else ignore
        boxes = decode_boxes(value.detach(), head_geometry(head, value), size)
        weight = (best_overlap(boxes, truths) <= ignore).float()
        weight[places.place] = 1.0
        truth = torch.zeros_like(weight)
        share = self.settings.iou_objectness
        truth[places.place] = 1 - share + share * iou.detach().clamp(0, 1)
        logits = as_logits(value[:, :, 4], head.new_coords)
        return F.binary_cross_entropy_with_logits(logits, truth, weight, reduction="sum")


def as_logits(raw: Tensor, new_coords: bool) -> Tensor:
    """Logits of objectness or classes; under `new_coords` the network gives probabilities instead."""
    return raw.logit(_PROBABILITY_MARGIN) if new_coords else raw


def boxes_at(
    at_places: Tensor,
    places: Assignment,
    geometry: HeadGeometry,
    cells_wh: tuple[int, int],
    net_size_wh: tuple[int, int],
) -> Tensor:
    """Boxes at a head's positives: values (P, ≥4) → (P, 4) cxcywh in pixels of the network input."""
    corner = torch.stack((places.column, places.row), 1)
    strides = [pixels / cells for pixels, cells in zip(net_size_wh, cells_wh, strict=True)]
    stride = torch.tensor(strides, device=at_places.device)
    xy = (decode_xy(at_places[:, :2], geometry) + corner) * stride
    wh = decode_wh(at_places[:, 2:4], geometry.anchors[places.anchor], geometry.new_coords)
    return torch.cat((xy, wh), 1)


def padded_truths(targets: Tensor, batch: int) -> Tensor:
    """targets (N, 6) → (B, M, 4) xyxy: the objects of each image, filled up with boxes without area."""
    image = targets[:, 0].long()
    order = image.argsort(stable=True)
    counts = image.bincount(minlength=batch)
    rank = torch.arange(len(image), device=image.device) - (counts.cumsum(0) - counts)[image[order]]
    truths = targets.new_zeros(batch, int(counts.max()), 4)
    truths[image[order], rank] = cxcywh_to_xyxy(targets[order, 2:6])
    return truths


@torch.no_grad()
def best_overlap(boxes: Tensor, truths: Tensor) -> Tensor:
    """(B, A, H, W): the highest IoU of each box (B, A, 4, H, W) cxcywh with any of the objects (B, M, 4) xyxy
    of its image."""
    batch, anchors, _, height, width = boxes.shape
    flat = cxcywh_to_xyxy(boxes.permute(0, 1, 3, 4, 2).flatten(1, 3))
    best = flat.new_zeros(batch, flat.shape[1])
    for start in range(0, truths.shape[1], _CHUNK):
        overlap = pairwise_iou(flat, truths[:, start : start + _CHUNK])
        best = torch.maximum(best, overlap.amax(2))
    return best.view(batch, anchors, height, width)
