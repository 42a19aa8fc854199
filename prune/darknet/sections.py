"""Sections → typed layers: Darknet's defaults, and explicit errors for what Darknet would misread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prune.darknet import keys
from prune.darknet.cfg import Section
from prune.darknet.convolutions import read_connected, read_convolutional
from prune.darknet.dialects import section_hint
from prune.darknet.heads import read_gaussian_yolo, read_region, read_yolo
from prune.darknet.layers import (
    Avgpool,
    Dropout,
    Gate,
    Layer,
    LocalAvgpool,
    Maxpool,
    NetOptions,
    Reorg,
    Route,
    Shortcut,
    Softmax,
    Upsample,
)
from prune.darknet.options import Options
from prune.errors import CfgError

Reader = Callable[[Options, int], Layer]

_WEIGHTS_TYPES = {
    "none": "none",
    "per_feature": "per_feature",
    "per_layer": "per_feature",
    "per_channel": "per_channel",
}
_NORMALIZATIONS = {"none": "none", "relu": "relu", "avg_relu": "relu", "softmax": "softmax"}


def read_net(section: Section, path: Path | str, warnings: list[str]) -> NetOptions:
    """The `[net]` (or `[network]`) section."""
    options = Options(section, path, warnings)
    net = NetOptions(
        section,
        width=options.integer("width", 416, low=1, high=65_536),
        height=options.integer("height", 416, low=1, high=65_536),
        channels=options.integer("channels", 3, low=1, high=4096),
        letter_box=options.flag("letter_box"),
    )
    options.ignore(*keys.NET)
    options.report_unread()
    return net


def read_layer(section: Section, index: int, path: Path | str, warnings: list[str]) -> Layer:
    """The typed layer of a section at `index`. Raises CfgError for an unknown kind or a wrong option."""
    options = Options(section, path, warnings)
    reader = _READERS.get(section.kind)
    if reader is None:
        raise _unsupported(options)
    layer = reader(options, index)
    options.report_unread()
    return layer


def _unsupported(options: Options) -> CfgError:
    if options.section.kind in ("net", "network"):
        return options.error(None, "is only supported as the first section")
    return options.error(None, f"is not supported{section_hint(options.section.kind, _READERS)}")


def _shortcut(options: Options, index: int) -> Shortcut:
    weights = _WEIGHTS_TYPES.get(options.word("weights_type", "none"))
    if weights is None:
        raise options.error("weights_type", f"weights_type must be one of {', '.join(_WEIGHTS_TYPES)}")
    normalization = _NORMALIZATIONS.get(options.word("weights_normalization", "none"))
    if normalization is None:
        raise options.error(
            "weights_normalization", f"weights_normalization must be one of {', '.join(_NORMALIZATIONS)}"
        )
    if weights != "none":
        options.refuse("dontload", "dont_load")
    sources = options.sources("from", index)
    return Shortcut(
        index,
        options.section,
        (index - 1, *sources),
        options.activation("linear"),
        weights,
        normalization if weights != "none" else "none",
    )


def _route(options: Options, index: int) -> Route:
    groups = options.integer("groups", 1, low=1)
    group_id = options.integer("group_id", 0, low=0)
    if group_id >= groups:
        raise options.error("group_id", f"group_id={group_id} must be below groups={groups}")
    options.ignore("stream", "wait_stream")
    return Route(index, options.section, options.sources("layers", index), groups, group_id)


def _upsample(options: Options, index: int) -> Upsample:
    stride = options.integer("stride", 2, low=1, high=64)
    return Upsample(index, options.section, (index - 1,), stride, options.number("scale", 1.0))


def _maxpool(options: Options, index: int) -> Maxpool:
    options.refuse("antialiasing")
    options.ignore("maxpool_zero_nonmax", "out_channels")
    depth = options.integer("out_channels", 1, low=1) if options.flag("maxpool_depth") else 0
    return Maxpool(index, options.section, (index - 1,), *_window(options), depth)


def _local_avgpool(options: Options, index: int) -> LocalAvgpool:
    return LocalAvgpool(index, options.section, (index - 1,), *_window(options))


def _window(options: Options) -> tuple[int, int, int, int]:
    """size, stride_x, stride_y and the padding over both sides of a pooling layer."""
    stride = options.integer("stride", 1, low=1)
    size = options.integer("size", stride, low=1, high=4096)
    stride_x = options.integer("stride_x", stride, low=1)
    stride_y = options.integer("stride_y", stride, low=1)
    padding = options.integer("padding", size - 1, low=0, high=8192)
    if (padding + 1) // 2 >= size:
        raise options.error("padding", f"padding={padding} puts whole windows of size={size} outside the map")
    return size, stride_x, stride_y, padding


def _avgpool(options: Options, index: int) -> Avgpool:
    return Avgpool(index, options.section, (index - 1,))


def _dropout(options: Options, index: int) -> Dropout:
    options.ignore(*keys.DROPOUT)
    probability = options.number("probability", 0.2, low=0)
    if probability >= 1:
        raise options.error("probability", f"probability={probability:g} must be below 1")
    return Dropout(index, options.section, (index - 1,), probability)


def _empty(options: Options, index: int) -> Dropout:
    """`[empty]` passes its input on, as dropout does in inference."""
    return Dropout(index, options.section, (index - 1,), 0.0)


def _softmax(options: Options, index: int) -> Softmax:
    if options.has("tree"):
        raise options.error("tree", "tree= (a hierarchy of classes) is not supported; remove it for flat classes")
    options.ignore(*keys.SOFTMAX)
    temperature = options.number("temperature", 1.0)
    if temperature <= 0:
        raise options.error("temperature", f"temperature={temperature:g} must be above 0")
    return Softmax(index, options.section, (index - 1,), options.integer("groups", 1, low=1), temperature)


def _reorg(options: Options, index: int) -> Reorg:
    reverse = options.flag("reverse")
    if reverse and options.section.kind == "reorg3d":
        message = "reverse=1 is not supported here: Darknet mixes up its channels; [reorg] with reverse=1 is"
        raise options.error("reverse", message)
    return Reorg(index, options.section, (index - 1,), options.integer("stride", 1, low=1, high=256), reverse)


def _gate(options: Options, index: int) -> Gate:
    sources = options.sources("from", index)
    if len(sources) != 1:
        raise options.error("from", "from must name one layer")
    scale_wh = options.section.kind == "scale_channels" and options.flag("scale_wh")
    return Gate(index, options.section, (index - 1, *sources), options.activation("linear"), scale_wh)


_READERS: dict[str, Reader] = {
    "convolutional": read_convolutional,
    "conv": read_convolutional,
    "connected": read_connected,
    "conn": read_connected,
    "shortcut": _shortcut,
    "route": _route,
    "upsample": _upsample,
    "maxpool": _maxpool,
    "max": _maxpool,
    "local_avgpool": _local_avgpool,
    "local_avg": _local_avgpool,
    "avgpool": _avgpool,
    "avg": _avgpool,
    "dropout": _dropout,
    "empty": _empty,
    "silence": _empty,
    "softmax": _softmax,
    "soft": _softmax,
    "reorg": _reorg,
    "reorg3d": _reorg,
    "scale_channels": _gate,
    "sam": _gate,
    "yolo": read_yolo,
    "Gaussian_yolo": read_gaussian_yolo,
    "region": read_region,
}
