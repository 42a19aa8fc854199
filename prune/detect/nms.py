"""Non-maximum suppression: the selection of detections from all boxes that a network proposes.

All images of a batch and all classes are processed at once: the candidates that compete with each other, those of one
class in one image, are a group, and groups of similar size are compared together.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from prune.detect.boxes import cxcywh_to_xyxy, pairwise_diou, pairwise_iou
from prune.detect.settings import NmsSettings

# Larger groups are compared in blocks of this many: 512² comparisons fit the processor's cache.
_BLOCK = 512
# The limit on comparisons at once, for the same reason.
_COMPARISONS = 1 << 18


def nms(decoded: Tensor, settings: NmsSettings) -> Tensor:
    """Select detections of one image.

    decoded: (N, 5+C) as `decode` returns it. Returns (n, 6): xyxy in the unit of `decoded`, score, class
    index (from 0), by falling score. Non-finite boxes are never selected.
    """
    return nms_batch(decoded[None], settings)[0]


def nms_batch(decoded: Tensor, settings: NmsSettings) -> list[Tensor]:
    """As `nms`, for each image of (B, N, 5+C)."""
    images, boxes, scores, classes = _candidates(decoded, settings)
    kept = _suppress(boxes, images * (decoded.shape[2] - 5) + classes, settings)
    images = images[kept]
    found = torch.cat((boxes[kept], scores[kept, None], classes[kept, None].to(boxes.dtype)), dim=1)
    by_image = torch.split(found, images.bincount(minlength=len(decoded)).tolist())
    return [rows[: settings.max_detections or None] for rows in by_image]


def _candidates(decoded: Tensor, settings: NmsSettings) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Image (n,), box (n, 4) xyxy, score (n,) and class (n,) of the candidates above the confidence threshold: image by
    image, in each by falling score, equal ones in the order of the boxes."""
    # A score cannot exceed its objectness, so most boxes are discarded before their classes are read.
    images, rows = (decoded[..., 4] > settings.conf).nonzero(as_tuple=True)
    likely = decoded[images, rows]
    finite = likely.isfinite().all(1)
    if not bool(finite.all()):
        images, likely = images[finite], likely[finite]
    scores = likely[:, 5:] * likely[:, 4:5]
    if settings.multi_label:
        picked, classes = (scores > settings.conf).nonzero(as_tuple=True)
    else:
        best, classes = scores.max(1)
        picked = (best > settings.conf).nonzero().flatten()
        classes = classes[picked]
    order = scores[picked, classes].sort(descending=True, stable=True).indices
    order = order[_by_image(images[picked[order]], settings.max_candidates)]
    picked, classes = picked[order], classes[order]
    return images[picked], cxcywh_to_xyxy(likely[picked, :4]), scores[picked, classes], classes


def _by_image(images: Tensor, limit: int) -> Tensor:
    """Indices that sort candidates by image and keep their order otherwise; at most `limit` of each (0: no limit)."""
    images, order = images.sort(stable=True)
    if not limit or len(order) <= limit:
        return order
    counts = images.bincount()
    rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[images]
    return order[rank < limit]


def _suppress(boxes: Tensor, groups: Tensor, settings: NmsSettings) -> Tensor:
    """Indices kept, rising, of boxes (n, 4) that compete within their group (n,), earlier ones before later ones."""
    if not len(groups):
        return groups
    groups, order = groups.sort(stable=True)
    sizes = groups.bincount()
    sizes = sizes[sizes > 0]
    starts = sizes.cumsum(0) - sizes
    keep = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    for members in _of_similar_size(starts, sizes):
        keep[members[_kept(boxes, order, members, settings)]] = True
    for start, size in zip(*(t[sizes > _BLOCK].tolist() for t in (starts, sizes)), strict=True):
        members = torch.arange(start, start + size, device=order.device)
        keep[members[_kept_of_many(boxes[order[members]], settings)]] = True
    return order[keep].sort().values


def _of_similar_size(starts: Tensor, sizes: Tensor) -> Iterator[Tensor]:
    """Groups of similar size: positions (G, M) of their members, −1 where a group has fewer than M."""
    low, high = 0, 1
    while low < min(_BLOCK, int(sizes.max())):
        chosen, at_once = (sizes > low) & (sizes <= high), max(1, _COMPARISONS // high**2)
        place = torch.arange(high, device=starts.device)
        for begin, count in zip(*(torch.split(t[chosen], at_once) for t in (starts, sizes)), strict=True):
            if len(count):
                yield torch.where(place < count[:, None], begin[:, None] + place, -1)
        low, high = high, min(high * 2, _BLOCK)


def _kept(boxes: Tensor, order: Tensor, members: Tensor, settings: NmsSettings) -> Tensor:
    """(G, M) bool: the members of each group that are kept."""
    present = members >= 0
    if members.shape[1] == 1:
        return present
    mine = boxes[order[members]]
    overlapping = _overlapping(mine, mine, settings) & present[:, :, None] & present[:, None, :]
    return _greedy(overlapping) & present


def _kept_of_many(boxes: Tensor, settings: NmsSettings) -> Tensor:
    """Indices kept of one large group (n, 4), block by block: whether a box is kept depends on better ones alone."""
    kept = torch.zeros(0, dtype=torch.int64, device=boxes.device)
    for start in range(0, len(boxes), _BLOCK):
        block = torch.arange(start, min(start + _BLOCK, len(boxes)), device=boxes.device)
        block = block[~_overlapping(boxes[kept], boxes[block], settings).any(0)]
        kept = torch.cat((kept, block[_greedy(_overlapping(boxes[block], boxes[block], settings))]))
    return kept


def _overlapping(a: Tensor, b: Tensor, settings: NmsSettings) -> Tensor:
    """(…, N, M) bool: which boxes of a (…, N, 4) and b (…, M, 4) overlap by more than the threshold."""
    overlap = pairwise_diou(a, b, settings.beta) if settings.kind == "diou" else pairwise_iou(a, b)
    return overlap > settings.iou


def _greedy(overlapping: Tensor) -> Tensor:
    """Which of n boxes in falling score are kept: (…, n) bool from the symmetric (…, n, n) overlaps.

    A box is kept if no kept better box overlaps it. Applied to all boxes at once until nothing changes:
    round k settles every box whose chain of better overlapping boxes is shorter than k, so it terminates, with
    the same result as the sequential procedure.
    """
    better = overlapping.triu(1).float()
    keep = torch.ones(better.shape[:-1], dtype=torch.bool, device=better.device)
    while True:
        settled = (keep.float()[..., None, :] @ better)[..., 0, :] == 0
        if torch.equal(settled, keep):
            return keep
        keep = settled
