"""Non-maximum suppression: from every box a network proposes to the few worth reporting."""

from __future__ import annotations

import torch
from torch import Tensor

from prune.detect.boxes import cxcywh_to_xyxy, pairwise_diou, pairwise_iou
from prune.detect.settings import NmsSettings

# Boxes are compared in blocks of this many: 512² comparisons fit the processor's cache.
_BLOCK = 512


def nms(decoded: Tensor, settings: NmsSettings) -> Tensor:
    """Select detections of one image.

    decoded: (N, 5+C) as `decode` gives it. Returns (n, 6): xyxy in the unit of `decoded`, score, class
    index (from 0), by falling score. Non-finite boxes never pass.
    """
    boxes, scores, classes = _candidates(decoded, settings)
    if settings.max_detections:
        kept = _suppress(boxes, classes, settings)
    else:
        kept = _suppress_by_class(boxes, classes, settings)
    columns = (boxes[kept], scores[kept, None], classes[kept, None].to(boxes.dtype))
    return torch.cat(columns, dim=1)


def _candidates(decoded: Tensor, settings: NmsSettings) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (n, 4) xyxy, scores (n,) and classes (n,) above the confidence, by falling score."""
    # A score cannot exceed its objectness, so most boxes go before the classes are looked at.
    decoded = decoded[(decoded[:, 4] > settings.conf) & decoded.isfinite().all(1)]
    scores = decoded[:, 5:] * decoded[:, 4:5]
    if settings.multi_label:
        rows, classes = (scores > settings.conf).nonzero(as_tuple=True)
    else:
        best, classes = scores.max(1)
        rows = (best > settings.conf).nonzero().flatten()
        classes = classes[rows]
    flat, order = scores[rows, classes].sort(descending=True, stable=True)
    if settings.max_candidates:
        flat, order = flat[: settings.max_candidates], order[: settings.max_candidates]
    return cxcywh_to_xyxy(decoded[rows[order], :4]), flat, classes[order]


def _suppress_by_class(boxes: Tensor, classes: Tensor, settings: NmsSettings) -> Tensor:
    """Indices kept, rising; one class at a time, because every box of a class is wanted."""
    kept = []
    for label in classes.bincount().nonzero().flatten():
        members = (classes == label).nonzero().flatten()
        kept.append(members[_suppress(boxes[members], classes[members], settings)])
    return torch.cat(kept).sort().values if kept else classes


def _suppress(boxes: Tensor, classes: Tensor, settings: NmsSettings) -> Tensor:
    """Indices kept of boxes (n, 4) in falling score, rising; stops at `max_detections`.

    What happens to a box depends on better boxes alone, so the work ends with the block in which the
    limit is reached, and the result is the same as without blocks.
    """
    kept = classes.new_empty(0)
    for start in range(0, len(boxes), _BLOCK):
        block = torch.arange(start, min(start + _BLOCK, len(boxes)), device=boxes.device)
        block = block[~_overlapping(boxes, classes, kept, block, settings).any(0)]
        kept = torch.cat((kept, block[_greedy(_overlapping(boxes, classes, block, block, settings))]))
        if settings.max_detections and len(kept) >= settings.max_detections:
            return kept[: settings.max_detections]
    return kept


def _overlapping(boxes: Tensor, classes: Tensor, a: Tensor, b: Tensor, settings: NmsSettings) -> Tensor:
    """(len(a), len(b)) bool: of one class and overlapping by more than the threshold; indices a and b."""
    overlap = pairwise_diou if settings.kind == "diou" else pairwise_iou
    same = classes[a, None] == classes[None, b]
    return same & (overlap(boxes[a], boxes[b]) > settings.iou)


def _greedy(overlapping: Tensor) -> Tensor:
    """Which of n boxes in falling score are kept: (n,) bool from the symmetric (n, n) overlaps.

    A box is kept if no kept better box overlaps it. Applied to all boxes at once until nothing changes:
    round k settles every box whose chain of better overlapping boxes is shorter than k, so it ends, and
    in the one answer that the sequential procedure gives.
    """
    better = overlapping.triu(1).float()
    keep = torch.ones(len(better), dtype=torch.bool, device=better.device)
    while True:
        settled = keep.float() @ better == 0
        if torch.equal(settled, keep):
            return keep
        keep = settled
