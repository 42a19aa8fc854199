"""Boxes: their two formats, and how well two of them agree.

`xyxy` is (left, top, right, bottom), `cxcywh` (centre x, centre y, width, height); the unit is the
caller's (pixels or fractions of an image) as long as both boxes of a comparison share it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from prune.detect.settings import IouKind

# Only a floor for 0/0: far below the area of any real box, in pixels or as a fraction of an image.
_TINY = 1e-12


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """(…, 4) centre and size to (…, 4) corners."""
    centre, half = boxes[..., :2], boxes[..., 2:4] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """(…, 4) corners to (…, 4) centre and size."""
    low, high = boxes[..., :2], boxes[..., 2:4]
    return torch.cat(((low + high) / 2, high - low), dim=-1)


def area(boxes: Tensor) -> Tensor:
    """(…, 4) xyxy to (…): the area; 0 for a box that is inside out."""
    width, height = (boxes[..., 2:4] - boxes[..., :2]).clamp_min(0).unbind(-1)
    return width * height


def _intersection(a: Tensor, b: Tensor) -> Tensor:
    """The common area of two broadcastable (…, 4) xyxy arrays."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:4], b[..., 2:4])
    width, height = (high - low).clamp_min(0).unbind(-1)
    return width * height


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of each of `a` (…, N, 4) with each of `b` (…, M, 4): (…, N, M), xyxy.

    0 for two boxes without area.
    """
    common = _intersection(a[..., :, None, :], b[..., None, :, :])
    union = area(a)[..., :, None] + area(b)[..., None, :] - common
    return common / union.clamp_min(_TINY)


def pairwise_diou(a: Tensor, b: Tensor, beta: float = 1.0) -> Tensor:
    """As `pairwise_iou`, less the squared distance of the centres over that of the corners of the
    enclosing box, to the power of `beta`."""
    one, other = a[..., :, None, :], b[..., None, :, :]
    penalty = _centre_penalty(one, other)
    return pairwise_iou(a, b) - (penalty if beta == 1 else penalty**beta)


def wh_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of sizes (N, 2) with sizes (M, 2), both aligned at a corner: (N, M). How similar two shapes are."""
    common = torch.minimum(a[:, None, :], b[None, :, :]).prod(-1)
    union = a.prod(-1)[:, None] + b.prod(-1)[None, :] - common
    return common / union.clamp_min(_TINY)


def _enclosing(a: Tensor, b: Tensor) -> Tensor:
    """Width and height (…, 2) of the smallest box around both."""
    return torch.maximum(a[..., 2:4], b[..., 2:4]) - torch.minimum(a[..., :2], b[..., :2])


def _centre_penalty(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of the centres over the squared diagonal of the enclosing box: in [0, 1)."""
    offset = (a[..., :2] + a[..., 2:4] - b[..., :2] - b[..., 2:4]) / 2
    return offset.square().sum(-1) / _enclosing(a, b).square().sum(-1).clamp_min(_TINY)


def _aspect_penalty(a: Tensor, b: Tensor, iou: Tensor) -> Tensor:
    """CIoU's alpha·v, with v from the angles of the two diagonals."""
    size_a, size_b = ((box[..., 2:4] - box[..., :2]).clamp_min(_TINY) for box in (a, b))
    angle_a, angle_b = (torch.atan2(size[..., 0], size[..., 1]) for size in (size_a, size_b))
    v = (angle_a - angle_b).square() * (4 / math.pi**2)
    # alpha is a trade-off weight: the authors take no gradient through it.
    with torch.no_grad():
        alpha = v / (1 - iou + v).clamp_min(_TINY)
    return alpha * v


def aligned_iou(a: Tensor, b: Tensor, kind: IouKind = "iou") -> Tensor:
    """Agreement of `a` (…, 4) with `b` (…, 4), xyxy, box by box: (…).

    `iou` is in [0, 1]; the others subtract a penalty which still has a gradient where boxes do not
    touch, and reach down to -1 (`giou`, `diou`) or below (`ciou`). Sources: GIoU, Rezatofighi et al.,
    "Generalized Intersection over Union", CVPR 2019, eq. 1; DIoU and CIoU, Zheng et al.,
    "Distance-IoU Loss", AAAI 2020, eq. 7 and 8-11.
    """
    common = _intersection(a, b)
    union = (area(a) + area(b) - common).clamp_min(_TINY)
    iou = common / union
    if kind == "iou":
        return iou
    if kind == "giou":
        hull = _enclosing(a, b).prod(-1).clamp_min(_TINY)
        return iou - (hull - union).clamp_min(0) / hull
    distance = iou - _centre_penalty(a, b)
    return distance if kind == "diou" else distance - _aspect_penalty(a, b, iou)
