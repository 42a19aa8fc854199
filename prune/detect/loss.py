"""The training loss of detection heads.

For each image, over all heads together:

    box = box_gain · mean over its positives of (1 − IoU family), of the negative log-likelihood for Gaussian heads
    obj = obj_gain · mean over all boxes of BCE(objectness)
    cls = cls_gain · mean over its positives of Σ over classes of BCE(class), or of the cross entropy of a softmax,
          or of Σ of squared errors where the head takes class scores as they are

and the loss is the mean of these sums over the images of the batch. Every mean is taken inside an image, so
the loss of a batch is exactly the mean of the losses of its parts: gradients accumulated over small batches
equal those of the large batch. As in Darknet each cell has the same weight in `obj` whatever its head; a box
that is not a positive but overlaps an object by more than `ignore_thresh` is ignored there. The class loss is
computed for a single class as well, since decoding multiplies by its probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.head_rules import HeadRules, head_rules
from prune.darknet.layers import Head
from prune.detect.assign import Assignment, assign
from prune.detect.box_loss import boxes_at, coordinate_loss
from prune.detect.boxes import aligned_iou, cxcywh_to_xyxy, pairwise_iou
from prune.detect.decode import HeadGeometry, decode_boxes, head_geometry
from prune.detect.heads import split_head, uncertainties
from prune.detect.settings import LossSettings

# Probabilities are clamped to this distance from 0 and 1 before they are converted to logits.
_PROBABILITY_MARGIN = 1e-6
# How many objects are compared with all boxes at a time: bounds the memory of a mosaic full of small objects.
_CHUNK = 16


@dataclass(frozen=True, slots=True)
class LossParts:
    """Scalars, each a mean per image of the batch with its gain applied; total = box + obj + cls."""

    total: Tensor
    box: Tensor
    obj: Tensor
    cls: Tensor


@dataclass(frozen=True, slots=True)
class _Output:
    """The output of one head: values (B, A, 5+C, H, W) as in `split_head`, sigma (B, A, 4, H, W) where it has any."""

    head: Head
    rules: HeadRules
    values: Tensor
    sigma: Tensor | None
    geometry: HeadGeometry
    size_wh: tuple[int, int]

    @property
    def grid_hw(self) -> tuple[int, int]:
        return int(self.values.shape[3]), int(self.values.shape[4])

    def box_loss(self, at_places: Tensor, iou: Tensor, places: Assignment) -> Tensor:
        """(P,) loss of the boxes at the positives; `iou`: their agreement with the objects."""
        if self.sigma is None:
            return 1 - iou
        sigma = self.sigma.permute(0, 1, 3, 4, 2)[places.place]
        return coordinate_loss(at_places, sigma, places, self.geometry, self.grid_hw[::-1], self.size_wh)


class YoloLoss:
    """The loss for a network with these heads (of any number and kind, each with its own classes)."""

    def __init__(self, heads: Sequence[Head], settings: LossSettings, net_size_wh: tuple[int, int]) -> None:
        """`net_size_wh`: size in pixels of the images, unless a call says otherwise."""
        self.heads, self.settings, self.net_size_wh = tuple(heads), settings, net_size_wh

    def __call__(self, raw: Sequence[Tensor], targets: Tensor, net_size_wh: tuple[int, int] | None = None) -> LossParts:
        """raw: each head's input (B, A·(entries + C), H, W) in cfg order, any float type (computed in float32).

        targets (N, 6): image in the batch, class, cxcywh as fractions of the network input; N may be 0.
        """
        size = net_size_wh or self.net_size_wh
        with torch.autocast(raw[0].device.type, enabled=False):
            outputs = [_output(r.float(), h, size) for r, h in zip(raw, self.heads, strict=True)]
            return self._parts(outputs, targets.to(raw[0].device).float(), size)

    def _parts(self, outputs: list[_Output], targets: Tensor, size: tuple[int, int]) -> LossParts:
        assigned = assign(targets, self.heads, [o.grid_hw for o in outputs], size, self.settings.match_iou)
        batch = len(outputs[0].values)
        image = torch.cat([a.image for a in assigned])
        # The weight of one positive: the mean inside its image, then over images.
        weight = 1 / (image.bincount(minlength=batch).clamp_min(1) * batch)
        truths = padded_truths(targets, batch)
        box, cls, obj = outputs[0].values.new_zeros(3).unbind()
        for output, places in zip(outputs, assigned, strict=True):
            at_places = output.values.permute(0, 1, 3, 4, 2)[places.place]
            iou = self._box_iou(output, at_places, places)
            box = box + (output.box_loss(at_places, iou, places) * weight[places.image]).sum()
            cls = cls + (self._class_loss(output, at_places, places) * weight[places.image]).sum()
            obj = obj + self._objectness_sum(output, places, iou, truths)
        boxes = sum(o.values[:, :, 4].numel() for o in outputs)
        gains = self.settings
        box, obj, cls = box * gains.box_gain, obj * (gains.obj_gain / boxes), cls * gains.cls_gain
        return LossParts(box + obj + cls, box, obj, cls)

    def _box_iou(self, output: _Output, at_places: Tensor, places: Assignment) -> Tensor:
        """(P,) agreement of the boxes at the positives with their objects, computed in pixels."""
        boxes = boxes_at(at_places, places, output.geometry, output.grid_hw[::-1], output.size_wh)
        truth = places.boxes * torch.tensor((*output.size_wh, *output.size_wh), device=boxes.device)
        return aligned_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth), self.settings.box_loss)

    def _class_loss(self, output: _Output, at_places: Tensor, places: Assignment) -> Tensor:
        """(P,) summed over classes."""
        smooth = self.settings.label_smoothing
        smooth = output.rules.label_smooth_eps if smooth is None else smooth
        truth = F.one_hot(places.classes, output.head.classes).to(at_places.dtype)
        return class_loss(at_places[:, 5:], truth, output.rules, smooth)

    def _objectness_sum(self, output: _Output, places: Assignment, iou: Tensor, truths: Tensor) -> Tensor:
        """BCE of objectness summed over all boxes of the head that are not ignored."""
        ignore = self.settings.ignore_iou
        ignore = output.rules.ignore_thresh if ignore is None else ignore
        boxes = decode_boxes(output.values.detach(), output.geometry, output.size_wh)
        weight = (best_overlap(boxes, truths) <= ignore).float()
        weight[places.place] = 1.0
        truth = torch.zeros_like(weight)
        share = self.settings.iou_objectness
        truth[places.place] = 1 - share + share * iou.detach().clamp(0, 1)
        logits = as_logits(output.values[:, :, 4], output.rules.probable)
        return F.binary_cross_entropy_with_logits(logits, truth, weight, reduction="sum")


def _output(raw: Tensor, head: Head, size_wh: tuple[int, int]) -> _Output:
    values = split_head(raw, head)
    geometry = head_geometry(head, values, size_wh)
    return _Output(head, head_rules(head), values, uncertainties(raw, head), geometry, size_wh)


def class_loss(values: Tensor, truth: Tensor, rules: HeadRules, smooth: float) -> Tensor:
    """(P,) loss of class outputs (P, C) against one-hot targets (P, C) smoothed by `smooth`."""
    if rules.class_kind == "softmax":
        shared = truth * (1 - smooth) + smooth / truth.shape[1]
        return -(shared * values.log_softmax(1)).sum(1)
    truth = truth * (1 - smooth) + smooth / 2
    if rules.class_kind == "linear":
        return (values - truth).square().sum(1)
    logits = as_logits(values, rules.probable)
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1)


def as_logits(raw: Tensor, probable: bool) -> Tensor:
    """Logits of objectness or classes; under `new_coords` (`probable`) the network outputs probabilities instead."""
    return raw.logit(_PROBABILITY_MARGIN) if probable else raw


def padded_truths(targets: Tensor, batch: int) -> Tensor:
    """targets (N, 6) → (B, M, 4) xyxy: the objects of each image, padded with boxes without area."""
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
