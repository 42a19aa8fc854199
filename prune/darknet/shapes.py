"""Shapes of all layers, and the check that the layers of a cfg fit each other and stay within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from prune.darknet.layers import (
    IMAGE,
    Avgpool,
    Connected,
    Convolutional,
    Gate,
    Head,
    Layer,
    LocalAvgpool,
    Maxpool,
    Reorg,
    Route,
    Shortcut,
    Softmax,
    Upsample,
)
from prune.darknet.netdef import NetDef
from prune.darknet.walk import Channelwise, Domain, walk
from prune.errors import UsageError

MOST_CHANNELS = 1 << 20
"""Of one layer; of all layers together eight times as many."""
MOST_MAP_FLOATS = (1 << 31) - 1
"""Of one layer's output: Darknet counts them in an int."""
MOST_WEIGHT_FLOATS = 1_000_000_000
"""Of a whole network, 4 GB: far more than any detector has."""

Kernel = tuple[int, int, int, int]


class Shape(NamedTuple):
    """A layer's output: channels, height, width."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class _Sized:
    """A network at one image size: the shape of each layer's output, and the kernels by layer index."""

    out: tuple[Shape, ...]
    kernels: dict[int, Kernel]


class _Shapes(Domain[Shape]):
    def __init__(self, netdef: NetDef, width: int, height: int) -> None:
        self.netdef = netdef
        self.start = Shape(netdef.net.channels, height, width)
        self.kernels: dict[int, Kernel] = {}
        self.channels = self.weights = 0

    def image(self) -> Shape:
        return self.start

    def convolution(self, layer: Convolutional, x: Shape) -> Shape:
        if x.channels % layer.groups:
            raise self.netdef.error(layer, f"groups={layer.groups} does not divide its {x.channels} input channels")
        size = x[1:] if isinstance(layer, Connected) else (layer.size, layer.size)
        self._count(layer, (layer.filters, x.channels // layer.groups, *size))
        if isinstance(layer, Connected):
            return self._checked(layer, Shape(layer.filters, 1, 1))
        reach = layer.dilation * (layer.size - 1) + 1
        shape = _slide(x, reach, layer.stride_x, layer.stride_y, 2 * layer.pad)
        return self._checked(layer, shape._replace(channels=layer.filters))

    def shortcut(self, layer: Shortcut, inputs: Sequence[Shape]) -> Shape:
        self._same_size(layer, inputs)
        return self._checked(layer, inputs[0])

    def route(self, layer: Route, inputs: Sequence[Shape]) -> Shape:
        self._same_size(layer, inputs)
        for source, shape in zip(layer.inputs, inputs, strict=True):
            if shape.channels % layer.groups:
                message = f"groups={layer.groups} does not divide the {shape.channels} channels of layer {source}"
                raise self.netdef.error(layer, message)
        channels = sum(shape.channels // layer.groups for shape in inputs)
        return self._checked(layer, inputs[0]._replace(channels=channels))

    def gate(self, layer: Gate, before: Shape, source: Shape) -> Shape:
        if before != _gate_shape(layer, source):
            message = f"cannot join {_text(before)} of the layer before with {_text(source)} of layer {layer.inputs[1]}"
            raise self.netdef.error(layer, message)
        return self._checked(layer, source)

    def reorg(self, layer: Reorg, x: Shape) -> Shape:
        s = layer.stride
        if not layer.reverse and (x.height % s or x.width % s):
            raise self.netdef.error(layer, f"stride={s} does not divide its input of {_text(x)}")
        if (layer.reverse or layer.kind == "reorg") and x.channels % s**2:
            raise self.netdef.error(layer, f"stride²={s**2} does not divide its {x.channels} input channels")
        if layer.reverse:
            return self._checked(layer, Shape(x.channels // s**2, x.height * s, x.width * s))
        return self._checked(layer, Shape(x.channels * s**2, x.height // s, x.width // s))

    def channelwise(self, layer: Channelwise, x: Shape) -> Shape:
        match layer:
            case Upsample():
                x = Shape(x.channels, x.height * layer.stride, x.width * layer.stride)
            case Maxpool() if layer.depth:
                if layer.depth > x.channels:
                    message = f"out_channels={layer.depth} is more than its {x.channels} input channels"
                    raise self.netdef.error(layer, message)
                x = x._replace(channels=layer.depth)
            case Maxpool() | LocalAvgpool():
                x = _slide(x, layer.size, layer.stride_x, layer.stride_y, layer.padding)
            case Avgpool():
                x = Shape(x.channels, 1, 1)
            case Softmax() if prod(x) % layer.groups:
                raise self.netdef.error(layer, f"groups={layer.groups} does not divide its input of {_text(x)}")
        return self._checked(layer, x)

    def head(self, layer: Head, x: Shape) -> Shape:
        if x.channels != layer.channels:
            boxes, entries = layer.boxes, layer.entries
            wanted = f"anchors·({entries} + classes) = {boxes}·{entries + layer.classes} = {layer.channels}"
            raise self.netdef.error(
                layer, f"reads {x.channels} channels, but needs {wanted}: correct filters= of the layer before it"
            )
        return self._checked(layer, x)

    def _same_size(self, layer: Layer, inputs: Sequence[Shape]) -> None:
        if len({shape[1:] for shape in inputs}) > 1:
            shapes = dict(zip(layer.inputs, inputs, strict=True))
            sizes = ", ".join(f"{_text(shape)} (layer {index})" for index, shape in list(shapes.items())[:8])
            raise self.netdef.error(layer, f"inputs have different spatial sizes: {sizes}")

    def _count(self, layer: Convolutional, kernel: Kernel) -> None:
        self.kernels[layer.index] = kernel
        if layer.share is not None:
            if kernel != self.kernels[layer.share]:
                message = f"shares the kernel of layer {layer.share}, {_text(self.kernels[layer.share])},"
                raise self.netdef.error(layer, f"{message} but needs {_text(kernel)}")
            return
        self.weights += prod(kernel) + 4 * layer.filters
        if self.weights > MOST_WEIGHT_FLOATS:
            message = f"takes the network to {self.weights:,} weights, more than {MOST_WEIGHT_FLOATS:,}"
            raise self.netdef.error(layer, message)

    def _checked(self, layer: Layer, shape: Shape) -> Shape:
        if shape.height < 1 or shape.width < 1:
            raise self.netdef.error(layer, "its output is empty; enlarge width and height in [net]")
        if shape.channels > MOST_CHANNELS:
            raise self.netdef.error(layer, f"writes {shape.channels:,} channels, more than {MOST_CHANNELS:,}")
        if prod(shape) > MOST_MAP_FLOATS:
            raise self.netdef.error(layer, f"writes {_text(shape)} numbers, more than {MOST_MAP_FLOATS:,}")
        self.channels += shape.channels
        if self.channels > 8 * MOST_CHANNELS:
            message = f"takes the network to {self.channels:,} channels, more than {8 * MOST_CHANNELS:,}"
            raise self.netdef.error(layer, message)
        return shape


def _sized(netdef: NetDef, width: int | None = None, height: int | None = None) -> _Sized:
    """The shapes at one size, computed when they are first asked for: a NetDef never changes."""
    size = width or netdef.net.width, height or netdef.net.height
    found = netdef._sized.get(size)
    if not isinstance(found, _Sized):
        domain = _Shapes(netdef, *size)
        netdef._sized[size] = found = _Sized(tuple(walk(netdef, domain)), domain.kernels)
    return found


def shapes(netdef: NetDef, width: int | None = None, height: int | None = None) -> list[Shape]:
    """The output shape of every layer, for the cfg's input size or for width × height pixels.

    Raises CfgError where layers do not fit each other, or where a network exceeds the bounds above.
    """
    return list(_sized(netdef, width, height).out)


def input_shapes(netdef: NetDef, width: int | None = None, height: int | None = None) -> list[Shape]:
    """The shape of each layer's first input."""
    out = shapes(netdef, width, height)
    image = Shape(netdef.net.channels, height or netdef.net.height, width or netdef.net.width)
    return [image if layer.inputs[0] == IMAGE else out[layer.inputs[0]] for layer in netdef.layers]


def kernel_shapes(netdef: NetDef) -> dict[int, Kernel]:
    """The kernel (out, in/groups, height, width) of each convolution and connected layer, by layer index.

    That of a connected layer covers its input, at the cfg's image size. Raises CfgError as `shapes` does.
    """
    return dict(_sized(netdef).kernels)


def largest_stride(netdef: NetDef) -> int:
    """How many pixels of the image one cell of the coarsest layer spans; image sizes are its multiples."""
    width, height = netdef.net.width, netdef.net.height
    maps = [shape for shape in shapes(netdef) if shape.height > 1 or shape.width > 1]
    return max((round(max(width / shape.width, height / shape.height)) for shape in maps), default=1)


def network_size(netdef: NetDef, asked: tuple[int, int] | None) -> tuple[int, int]:
    """(width, height) of the network's input in pixels: `asked`, or the cfg's. Raises UsageError unless
    `largest_stride` divides both."""
    width, height = asked or (netdef.net.width, netdef.net.height)
    stride = largest_stride(netdef)
    if width % stride or height % stride:
        near = "x".join(str(max(stride, round(side / stride) * stride)) for side in (width, height))
        limit = f"must be multiples of {stride}, the largest stride of {netdef.path}"
        raise UsageError(f"--img-size {width}x{height}: {limit}, such as {near}")
    return width, height


def _gate_shape(layer: Gate, source: Shape) -> Shape:
    """What the layer before a gate must be, for these features."""
    if layer.kind != "scale_channels":
        return source
    return Shape(1, source.height, source.width) if layer.scale_wh else Shape(source.channels, 1, 1)


def _slide(x: Shape, reach: int, stride_x: int, stride_y: int, padding: int) -> Shape:
    height = (x.height + padding - reach) // stride_y + 1
    return Shape(x.channels, height, (x.width + padding - reach) // stride_x + 1)


def _text(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
