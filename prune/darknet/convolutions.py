"""Readers of the sections with kernels: `[convolutional]` and `[connected]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prune.darknet import keys
from prune.darknet.layers import Connected, Convolutional, Layer
from prune.darknet.options import Options
from prune.errors import CfgError

_UNSUPPORTED = ("binary", "xnor", "bin_output", "antialiasing", "coordconv", "dontloadscales")


def read_convolutional(options: Options, index: int) -> Convolutional:
    """`[convolutional]`. `share` is not yet resolved where it names a layer that itself shares."""
    options.refuse(*_UNSUPPORTED)
    for key in keys.TRAINING_ONLY:
        if options.flag(key):
            options.warn(key, f"{key} changes Darknet's training only; kept, not used")
    options.ignore(*keys.CONVOLUTIONAL)
    size = options.integer("size", 1, low=1, high=1024)
    dilation = options.integer("dilation", 1, low=1, high=1024) if size > 1 else 1
    options.ignore("dilation")
    padding = options.integer("padding", 0, low=0, high=65_536)
    stride = options.integer("stride", 1, low=1)
    layer = Convolutional(
        index,
        options.section,
        (index - 1,),
        filters=options.integer("filters", 1, low=1),
        size=size,
        stride_x=_stride(options, "stride_x", stride),
        stride_y=_stride(options, "stride_y", stride),
        pad=(size // 2 if options.flag("pad") else padding) * dilation,
        dilation=dilation,
        groups=options.integer("groups", 1, low=1),
        batch_normalize=options.flag("batch_normalize") | options.flag("cbn"),
        activation=options.activation("logistic"),
        flipped=options.flag("flipped"),
        share=_share(options, index),
        stored=_stored(options),
    )
    if layer.filters % layer.groups:
        raise options.error("groups", f"groups={layer.groups} does not divide filters={layer.filters}")
    return layer


def read_connected(options: Options, index: int) -> Connected:
    """`[connected]`: a convolution whose kernel covers its whole input."""
    options.refuse("dontloadscales")
    return Connected(
        index,
        options.section,
        (index - 1,),
        filters=options.integer("output", 1, low=1),
        size=0,
        stride_x=1,
        stride_y=1,
        pad=0,
        dilation=1,
        groups=1,
        batch_normalize=options.flag("batch_normalize"),
        activation=options.activation("logistic"),
        stored=_stored(options),
    )


def resolved_shares(layers: Sequence[Layer], path: Path | str) -> tuple[Layer, ...]:
    """The layers, each `share` naming the layer that owns the floats.

    Raises CfgError where it names another kind, or a convolution with other filters, size, groups or batch norm.
    """
    resolved = list[Layer]()
    for layer in layers:
        if isinstance(layer, Convolutional) and layer.share is not None:
            owner = resolved[layer.share]
            if not isinstance(owner, Convolutional) or _kernel(owner) != _kernel(layer):
                message = (
                    f"[{layer.kind}] share_index names layer {layer.share}, "
                    "which is not a convolution with an equal kernel"
                )
                raise CfgError(path, layer.section.options["share_index"].number, message)
            layer = replace(layer, share=layer.share if owner.share is None else owner.share)
        resolved.append(layer)
    return tuple(resolved)


def _kernel(layer: Convolutional) -> tuple[object, ...]:
    return type(layer), layer.filters, layer.size, layer.groups, layer.batch_normalize


def _stride(options: Options, key: str, stride: int) -> int:
    """Darknet uses `stride` for any value below 1."""
    value = options.integer(key, -1, low=-1_000_000)
    return stride if value < 1 else value


def _share(options: Options, index: int) -> int | None:
    if not options.has("share_index"):
        return None
    value = options.integer("share_index", 0, low=-1_000_000)
    return options.reference("share_index", value, index)


def _stored(options: Options) -> bool:
    """False where `dontload=1` (or, as some write it, `dont_load=1`) says that the file contains no floats of it."""
    dont = [key for key in ("dontload", "dont_load") if options.flag(key)]
    for key in dont:
        options.warn(key, f"{key}=1: its floats are not read from a weights file that was written without them")
    return not dont
