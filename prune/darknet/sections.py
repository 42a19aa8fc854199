"""Sections → typed layers: Darknet's defaults, and a clear word on what it would misread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prune.darknet.activations import ACTIVATIONS
from prune.darknet.cfg import Section
from prune.darknet.layers import (
    IMAGE,
    Avgpool,
    Convolutional,
    Dropout,
    Gate,
    Layer,
    Maxpool,
    NetOptions,
    Route,
    Shortcut,
    Upsample,
    Yolo,
)
from prune.darknet.options import Options

Reader = Callable[[Options, int], Layer]

_TRAINING_KEYS = (
    "batch subdivisions momentum decay angle saturation exposure hue learning_rate burn_in max_batches policy "
    "steps scales mosaic cutmix mixup flip jitter aspect max_crop min_crop time_steps power gamma step scale "
    "ema_alpha label_smooth_eps blur resize_step max_epochs optimized_memory workspace_size_limit_MB adam B1 "
    "B2 eps num_steps_customized init_sequential_subdivisions sequential_subdivisions track augment_speed "
    "inputs mosaic_bound contrastive unsupervised try_fix_nan gaussian_noise loss_scale use_cuda_graph "
    "dynamic_minibatch seq_scales lr_policy rewritten cycle mult letter_box_train train_only_bn stopbackward"
).split()
_CONV_TRAINING_KEYS = (
    "stopbackward dontload dont_load learning_rate burnin_update train_only_bn sway rotate stretch "
    "stretch_sway deform grad_centr reverse coordconv angle adversarial_lr"
).split()
_CONV_UNSUPPORTED = (
    "binary",
    "xnor",
    "bin_output",
    "antialiasing",
    "assisted_excitation",
    "share_index",
    "flipped",
)
_YOLO_TRAINING_KEYS = (
    "jitter random resize max max_delta map counters_per_class objectness_smooth rescore focal_loss "
    "uc_normalizer iou_thresh_kind thresh total track_history_size sim_thresh dets_for_track dets_for_show "
    "track_ciou_norm embedding_layer dc_obj_normalizer show_details delta_normalizer ema_alpha"
).split()


def read_net(section: Section, path: Path | str, remarks: list[str]) -> NetOptions:
    """The `[net]` (or `[network]`) section."""
    options = Options(section, path, remarks)
    net = NetOptions(
        section,
        width=options.integer("width", 416, low=1, high=65_536),
        height=options.integer("height", 416, low=1, high=65_536),
        channels=options.integer("channels", 3, low=1, high=4096),
        letter_box=options.flag("letter_box"),
    )
    options.ignore(*_TRAINING_KEYS)
    options.report_unread()
    return net


def read_layer(section: Section, index: int, path: Path | str, remarks: list[str]) -> Layer:
    """The typed layer of a section at `index`. Raises CfgError for an unknown kind or a wrong option."""
    options = Options(section, path, remarks)
    reader = _READERS.get(section.kind)
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise options.error(None, f"is not supported; supported are {known}")
    layer = reader(options, index)
    options.report_unread()
    return layer


def _convolutional(options: Options, index: int) -> Convolutional:
    for key in _CONV_UNSUPPORTED:
        if options.flag(key):
            raise options.error(key, f"{key}=1 is not supported; set it to 0")
    options.ignore(*_CONV_TRAINING_KEYS)
    size = options.integer("size", 1, low=1, high=1024)
    dilation = options.integer("dilation", 1, low=1)
    padding = options.integer("padding", 0, low=0)
    stride = options.integer("stride", 1, low=1)
    layer = Convolutional(
        index,
        options.section,
        (index - 1,),
        filters=options.integer("filters", 1, low=1),
        size=size,
        stride_x=options.integer("stride_x", stride, low=1),
        stride_y=options.integer("stride_y", stride, low=1),
        pad=(size // 2 if options.flag("pad") else padding) * dilation,
        dilation=dilation,
        groups=options.integer("groups", 1, low=1),
        batch_normalize=options.flag("batch_normalize"),
        activation=_activation(options, "logistic"),
    )
    if layer.filters % layer.groups:
        raise options.error("groups", f"groups={layer.groups} does not divide filters={layer.filters}")
    return layer


def _shortcut(options: Options, index: int) -> Shortcut:
    weights = options.word("weights_type", "none")
    if weights != "none":
        raise options.error("weights_type", f"weights_type={weights} is not supported; use none")
    options.ignore("weights_normalization", "stopbackward")
    sources = _absolute(options, "from", index)
    return Shortcut(index, options.section, (index - 1, *sources), _activation(options, "linear"))


def _route(options: Options, index: int) -> Route:
    groups = options.integer("groups", 1, low=1)
    group_id = options.integer("group_id", 0, low=0)
    if group_id >= groups:
        raise options.error("group_id", f"group_id={group_id} must be below groups={groups}")
    options.ignore("stopbackward")
    return Route(index, options.section, _absolute(options, "layers", index), groups, group_id)


def _upsample(options: Options, index: int) -> Upsample:
    stride = options.integer("stride", 2, low=1, high=64)
    return Upsample(index, options.section, (index - 1,), stride, options.number("scale", 1.0))


def _maxpool(options: Options, index: int) -> Maxpool:
    for key in ("maxpool_depth", "antialiasing"):
        if options.flag(key):
            raise options.error(key, f"{key}=1 is not supported; set it to 0")
    options.ignore("out_channels")
    stride = options.integer("stride", 1, low=1)
    size = options.integer("size", stride, low=1, high=4096)
    return Maxpool(
        index,
        options.section,
        (index - 1,),
        size=size,
        stride_x=options.integer("stride_x", stride, low=1),
        stride_y=options.integer("stride_y", stride, low=1),
        padding=options.integer("padding", size - 1, low=0, high=8192),
    )


def _avgpool(options: Options, index: int) -> Avgpool:
    return Avgpool(index, options.section, (index - 1,))


def _dropout(options: Options, index: int) -> Dropout:
    for key in ("dropblock", "dropblock_size_rel", "dropblock_size_abs"):
        options.ignore(key)
    probability = options.number("probability", 0.5, low=0)
    if probability >= 1:
        raise options.error("probability", f"probability={probability:g} must be below 1")
    return Dropout(index, options.section, (index - 1,), probability)


def _gate(options: Options, index: int) -> Gate:
    if options.flag("scale_wh"):
        raise options.error("scale_wh", "scale_wh=1 is not supported; set it to 0")
    sources = _absolute(options, "from", index)
    if len(sources) != 1:
        raise options.error("from", "from must name one layer")
    return Gate(index, options.section, (index - 1, *sources), _activation(options, "linear"))


def _yolo(options: Options, index: int) -> Yolo:
    values = options.numbers("anchors")
    if not values or len(values) % 2:
        raise options.error("anchors", f"anchors must be pairs w,h; found {len(values)} numbers")
    anchors = tuple(zip(values[::2], values[1::2], strict=True))
    number = options.integer("num", 1, low=1, high=1000)
    mask = options.integers("mask") if options.has("mask") else tuple(range(number))
    if number > len(anchors) or any(not 0 <= i < len(anchors) for i in mask):
        raise options.error("mask", f"mask and num={number} must lie within the {len(anchors)} anchors")
    options.ignore(*_YOLO_TRAINING_KEYS)
    return Yolo(
        index,
        options.section,
        (index - 1,),
        anchors,
        mask,
        classes=options.integer("classes", 20, low=1, high=100_000),
        scale_x_y=options.number("scale_x_y", 1.0),
        new_coords=options.flag("new_coords"),
        ignore_thresh=options.number("ignore_thresh", 0.5),
        truth_thresh=options.number("truth_thresh", 1.0),
        iou_thresh=options.number("iou_thresh", 1.0),
        iou_loss=options.word("iou_loss", "mse"),
        iou_normalizer=options.number("iou_normalizer", 0.75),
        cls_normalizer=options.number("cls_normalizer", 1.0),
        obj_normalizer=options.number("obj_normalizer", 1.0),
        label_smooth_eps=options.number("label_smooth_eps", 0.0),
        nms_kind=options.word("nms_kind", "default"),
        beta_nms=options.number("beta_nms", 0.6),
    )


def _activation(options: Options, default: str) -> str:
    name = options.word("activation", default)
    if name not in ACTIVATIONS:
        message = f"activation={name} is unknown (Darknet would silently use relu); known: {', '.join(ACTIVATIONS)}"
        raise options.error("activation", message)
    return name


def _absolute(options: Options, key: str, index: int) -> tuple[int, ...]:
    """The layers that `from` or `layers` names: negative values count back from this layer."""
    if not options.has(key):
        raise options.error(None, f"needs {key}=")
    values = options.integers(key)
    sources = tuple(index + value if value < 0 else value for value in values)
    for value, source in zip(values, sources, strict=True):
        if not IMAGE < source < index:
            where = "before the first layer" if source < 0 else f"to layer {source}, which is not before it"
            raise options.error(key, f"{key}={value} (layer {index}) points {where}; name one of 0 … {index - 1}")
    return sources


_READERS: dict[str, Reader] = {
    "convolutional": _convolutional,
    "conv": _convolutional,
    "shortcut": _shortcut,
    "route": _route,
    "upsample": _upsample,
    "maxpool": _maxpool,
    "max": _maxpool,
    "avgpool": _avgpool,
    "avg": _avgpool,
    "dropout": _dropout,
    "scale_channels": _gate,
    "sam": _gate,
    "yolo": _yolo,
}
