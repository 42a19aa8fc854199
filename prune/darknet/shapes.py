"""Shapes of all layers, and the check that the layers of a cfg fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from prune.darknet.layers import (
    IMAGE,
    Avgpool,
    Convolutional,
    Gate,
    Layer,
    Maxpool,
    Route,
    Shortcut,
    Upsample,
    Yolo,
)
from prune.darknet.netdef import NetDef
from prune.darknet.walk import Domain, Passing, walk


class Shape(NamedTuple):
    """A layer's output: channels, height, width."""

    channels: int
    height: int
    width: int


class _Shapes(Domain[Shape]):
    def __init__(self, netdef: NetDef, width: int, height: int) -> None:
        self.netdef = netdef
        self.start = Shape(netdef.net.channels, height, width)

    def image(self) -> Shape:
        return self.start

    def convolution(self, layer: Convolutional, x: Shape) -> Shape:
        if x.channels % layer.groups:
            raise self.netdef.error(layer, f"groups={layer.groups} does not divide its {x.channels} input channels")
        reach, padding = layer.dilation * (layer.size - 1) + 1, 2 * layer.pad
        shape = _slide(x, reach, layer.stride_x, layer.stride_y, padding)
        return self._checked(layer, shape._replace(channels=layer.filters))

    def shortcut(self, layer: Shortcut, inputs: Sequence[Shape]) -> Shape:
        self._same_size(layer, inputs)
        return inputs[0]

    def route(self, layer: Route, inputs: Sequence[Shape]) -> Shape:
        self._same_size(layer, inputs)
        for source, shape in zip(layer.inputs, inputs, strict=True):
            if shape.channels % layer.groups:
                message = f"groups={layer.groups} does not divide the {shape.channels} channels of layer {source}"
                raise self.netdef.error(layer, message)
        return inputs[0]._replace(channels=sum(shape.channels // layer.groups for shape in inputs))

    def gate(self, layer: Gate, before: Shape, source: Shape) -> Shape:
        fits = before.channels == source.channels if layer.kind == "scale_channels" else before == source
        if not fits or (layer.kind == "scale_channels" and before[1:] != (1, 1)):
            message = f"cannot join {_text(before)} of the layer before with {_text(source)} of layer {layer.inputs[1]}"
            raise self.netdef.error(layer, message)
        return source

    def passing(self, layer: Passing, x: Shape) -> Shape:
        match layer:
            case Upsample():
                return Shape(x.channels, x.height * layer.stride, x.width * layer.stride)
            case Maxpool():
                return self._checked(layer, _slide(x, layer.size, layer.stride_x, layer.stride_y, layer.padding))
            case Avgpool():
                return Shape(x.channels, 1, 1)
            case _:
                return x

    def head(self, layer: Yolo, x: Shape) -> Shape:
        if x.channels != layer.channels:
            wanted = f"len(mask)·(5 + classes) = {len(layer.mask)}·{5 + layer.classes} = {layer.channels}"
            raise self.netdef.error(layer, f"reads {x.channels} channels, but needs {wanted}: mend filters= before it")
        return x

    def _same_size(self, layer: Layer, inputs: Sequence[Shape]) -> None:
        if len({shape[1:] for shape in inputs}) > 1:
            sizes = ", ".join(f"{_text(s)} (layer {i})" for i, s in zip(layer.inputs, inputs, strict=True))
            raise self.netdef.error(layer, f"joins maps of different size: {sizes}")

    def _checked(self, layer: Layer, shape: Shape) -> Shape:
        if shape.height < 1 or shape.width < 1:
            raise self.netdef.error(layer, "leaves no pixel of its input; enlarge width and height in [net]")
        return shape


def shapes(netdef: NetDef, width: int | None = None, height: int | None = None) -> list[Shape]:
    """The output shape of every layer, for the cfg's input size or for width × height pixels.

    Raises CfgError where layers do not fit each other.
    """
    return walk(netdef, _Shapes(netdef, width or netdef.net.width, height or netdef.net.height))


def input_shapes(netdef: NetDef, width: int | None = None, height: int | None = None) -> list[Shape]:
    """The shape of each layer's first input."""
    out = shapes(netdef, width, height)
    image = Shape(netdef.net.channels, height or netdef.net.height, width or netdef.net.width)
    return [image if layer.inputs[0] == IMAGE else out[layer.inputs[0]] for layer in netdef.layers]


def input_channels(netdef: NetDef) -> dict[int, int]:
    """How many channels each convolution reads, by layer index."""
    read = input_shapes(netdef)
    return {layer.index: read[layer.index].channels for layer in netdef.convolutions}


def largest_stride(netdef: NetDef) -> int:
    """How many pixels of the image one cell of the coarsest layer spans; image sizes are its multiples."""
    width, height = netdef.net.width, netdef.net.height
    maps = [shape for shape in shapes(netdef) if shape.height > 1 or shape.width > 1]
    return max((round(max(width / shape.width, height / shape.height)) for shape in maps), default=1)


def _slide(x: Shape, reach: int, stride_x: int, stride_y: int, padding: int) -> Shape:
    height = (x.height + padding - reach) // stride_y + 1
    return Shape(x.channels, height, (x.width + padding - reach) // stride_x + 1)


def _text(shape: Shape) -> str:
    return f"{shape.channels}×{shape.height}×{shape.width}"
