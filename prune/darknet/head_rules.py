"""The rules in which detection heads differ: how their numbers become boxes, objectness and class scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prune.darknet.layers import GaussianYolo, Head, Region, Yolo

MAX_SIZE_LOGIT = 10.0
"""Size logits are clamped here before exp(): 22,000 anchors wide is beyond any image, and still finite."""

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


def anchors_in_pixels(head: Head, grid_hw: tuple[int, int], net_size_wh: tuple[int, int]) -> list[tuple[float, float]]:
    """The head's anchors (w, h) in pixels of the network input; those of `[region]` are given in its cells."""
    if not isinstance(head, Region):
        return list(head.masked_anchors)
    x, y = net_size_wh[0] / grid_hw[1], net_size_wh[1] / grid_hw[0]
    return [(w * x, h * y) for w, h in head.masked_anchors]
