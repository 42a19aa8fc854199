"""Readers of the detection heads: `[yolo]`, `[Gaussian_yolo]` and `[region]`."""

from __future__ import annotations

from typing import TypedDict

from prune.darknet import keys
from prune.darknet.layers import GaussianYolo, Region, Yolo
from prune.darknet.options import Options

Anchors = tuple[tuple[float, float], ...]
_MOST_CLASSES = 100_000


class _YoloSettings(TypedDict):
    scale_x_y: float
    new_coords: bool
    ignore_thresh: float
    truth_thresh: float
    iou_thresh: float
    iou_loss: str
    iou_normalizer: float
    cls_normalizer: float
    obj_normalizer: float
    label_smooth_eps: float
    nms_kind: str
    beta_nms: float


def read_yolo(options: Options, index: int) -> Yolo:
    """`[yolo]`: `mask` may be in any order; without one the head uses all of `num` anchors."""
    anchors, mask = _masked(options)
    classes = _classes(options)
    return Yolo(index, options.section, (index - 1,), anchors, classes, mask, **_settings(options))


def read_gaussian_yolo(options: Options, index: int) -> GaussianYolo:
    """`[Gaussian_yolo]`: as `[yolo]`, with uncertainties."""
    if options.word("yolo_point", "center") != "center":
        raise options.error("yolo_point", "only yolo_point=center is supported")
    anchors, mask = _masked(options)
    classes = _classes(options)
    uncertainty = options.number("uc_normalizer", 1.0)
    settings = _settings(options)
    return GaussianYolo(
        index, options.section, (index - 1,), anchors, classes, mask, uc_normalizer=uncertainty, **settings
    )


def read_region(options: Options, index: int) -> Region:
    """`[region]` of YOLOv2: it uses the first `num` anchors."""
    if options.has("tree"):
        raise options.error("tree", "tree= (a hierarchy of classes) is not supported; remove it for flat classes")
    if options.integer("coords", 4, low=0) != 4:
        raise options.error("coords", "coords must be 4")
    number = options.integer("num", 1, low=1, high=1000)
    anchors = _anchors(options)
    if number > len(anchors):
        raise options.error("anchors", f"num={number} needs as many anchors; found {len(anchors)}")
    options.ignore(*keys.REGION)
    return Region(
        index,
        options.section,
        (index - 1,),
        anchors[:number],
        options.integer("classes", 20, low=1, high=_MOST_CLASSES),
        softmax=options.flag("softmax"),
        thresh=options.number("thresh", 0.5),
    )


def _classes(options: Options) -> int:
    """`classes`, with a warning where `counters_per_class` has another count: Darknet would stop (its `parser.c`)."""
    classes = options.integer("classes", 20, low=1, high=_MOST_CLASSES)
    if options.has("counters_per_class"):
        counters = options.section.options["counters_per_class"].value.count(",") + 1
        if counters != classes:
            message = (
                f"counters_per_class contains {counters} numbers for {classes} classes: Darknet would stop; remove it"
            )
            options.warn("counters_per_class", message)
    return classes


def _anchors(options: Options) -> Anchors:
    values = options.numbers("anchors")
    if not values or len(values) % 2:
        raise options.error("anchors", f"anchors must be pairs w,h; found {len(values)} numbers")
    return tuple(zip(values[::2], values[1::2], strict=True))


def _masked(options: Options) -> tuple[Anchors, tuple[int, ...]]:
    anchors = _anchors(options)
    number = options.integer("num", 1, low=1, high=1000)
    mask = options.integers("mask") if options.has("mask") else tuple(range(number))
    if any(not 0 <= i < len(anchors) for i in mask):
        raise options.error("mask", f"mask and num={number} must lie within the {len(anchors)} anchors")
    if number > len(anchors):
        options.warn("num", f"num={number}, but there are {len(anchors)} anchors; the mask does not use the others")
    return anchors, mask


def _settings(options: Options) -> _YoloSettings:
    options.ignore(*keys.YOLO)
    return {
        "scale_x_y": options.number("scale_x_y", 1.0),
        "new_coords": options.flag("new_coords"),
        "ignore_thresh": options.number("ignore_thresh", 0.5),
        "truth_thresh": options.number("truth_thresh", 1.0),
        "iou_thresh": options.number("iou_thresh", 1.0),
        "iou_loss": options.word("iou_loss", "mse"),
        "iou_normalizer": options.number("iou_normalizer", 0.75),
        "cls_normalizer": options.number("cls_normalizer", 1.0),
        "obj_normalizer": options.number("obj_normalizer", 1.0),
        "label_smooth_eps": options.number("label_smooth_eps", 0.0),
        "nms_kind": options.word("nms_kind", "default"),
        "beta_nms": options.number("beta_nms", 0.6),
    }
