"""A common view of detection heads of all kinds: one order of their numbers, and the rules in which they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from prune.darknet.layers import GaussianYolo, Head, Region, Yolo

ClassKind = Literal["logistic", "softmax", "linear"]
UNCERTAINTIES = (1, 3, 5, 7)
"""Positions of a `[Gaussian_yolo]` head's uncertainties of x, y, w, h among the numbers of a box."""


@dataclass(frozen=True, slots=True)
class HeadRules:
    """How a head's numbers are read and trained.

    `probable`: objectness and classes are probabilities already (`new_coords`). `class_kind`: how class scores are
    computed: by independent logistics, a softmax over the classes, or not at all (`[region]` without softmax:
    Darknet takes the numbers as they are). `uncertain`: each coordinate has an uncertainty.
    """

    scale_x_y: float = 1.0
    probable: bool = False
    class_kind: ClassKind = "logistic"
    uncertain: bool = False
    ignore_thresh: float = 0.5
    iou_thresh: float = 1.0
    label_smooth_eps: float = 0.0


def head_rules(head: Head) -> HeadRules:
    """The rules of a head, from its kind and its options."""
    if isinstance(head, Region):
        return HeadRules(class_kind="softmax" if head.softmax else "linear", ignore_thresh=head.thresh)
    if not isinstance(head, Yolo):
        raise TypeError(f"no rules for {type(head).__name__}")
    uncertain = isinstance(head, GaussianYolo)
    return HeadRules(
        scale_x_y=head.scale_x_y,
        probable=head.new_coords and not uncertain,
        uncertain=uncertain,
        ignore_thresh=head.ignore_thresh,
        iou_thresh=head.iou_thresh,
        label_smooth_eps=head.label_smooth_eps,
    )


def split_head(raw: Tensor, head: Head) -> Tensor:
    """A head's raw input (B, A·(entries + C), H, W) as (B, A, 5+C, H, W): x, y, w, h, objectness, classes.

    A view where the head has no uncertainties; they are left out, see `uncertainties`.
    Raises ValueError if the channels do not fit the head.
    """
    values = _by_box(raw, head)
    if not head_rules(head).uncertain:
        return values
    return values[:, :, [n for n in range(values.shape[2]) if n not in UNCERTAINTIES]]


def uncertainties(raw: Tensor, head: Head) -> Tensor | None:
    """The uncertainties of x, y, w, h in (0, 1): (B, A, 4, H, W); None where the head has none.

    Choi et al. 2019, "Gaussian YOLOv3", section 3.1: standard deviations of offsets in cells and of logarithms of
    sizes.
    """
    if not head_rules(head).uncertain:
        return None
    return _by_box(raw, head)[:, :, UNCERTAINTIES].sigmoid()


def anchors_in_pixels(head: Head, grid_hw: tuple[int, int], net_size_wh: tuple[int, int]) -> list[tuple[float, float]]:
    """The head's anchors (w, h) in pixels of the network input; those of `[region]` are given in its cells."""
    if not isinstance(head, Region):
        return list(head.masked_anchors)
    x, y = net_size_wh[0] / grid_hw[1], net_size_wh[1] / grid_hw[0]
    return [(w * x, h * y) for w, h in head.masked_anchors]


def class_scores(values: Tensor, rules: HeadRules, dim: int) -> Tensor:
    """Class scores (before they are multiplied by objectness) from a head's class numbers along `dim`."""
    if rules.class_kind == "softmax":
        return values.softmax(dim)
    return values if rules.probable or rules.class_kind == "linear" else values.sigmoid()


def _by_box(raw: Tensor, head: Head) -> Tensor:
    batch, channels, height, width = raw.shape
    if channels != head.channels:
        raise ValueError(f"[{head.kind}] layer {head.index} reads {head.channels} channels, not {channels}")
    return raw.reshape(batch, head.boxes, head.entries + head.classes, height, width)
