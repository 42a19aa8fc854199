"""What every kind of layer is in ONNX: a walk over the layers that adds their nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from prune.darknet.layers import (
    Avgpool,
    Connected,
    Convolutional,
    Dropout,
    Gate,
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
from prune.darknet.records import BATCH_NORM_EPSILON, Weights
from prune.darknet.shapes import Shape, shapes
from prune.darknet.walk import Channelwise, Domain
from prune.darknet.windows import Pool, margins
from prune.export.activations import ACTIVATIONS
from prune.export.convolutions import attributes, stored
from prune.export.operators import Graph, Operators, layer_name
from prune.export.settings import IMAGES


class Value(NamedTuple):
    """A tensor (N, *shape) of the graph."""

    name: str
    shape: Shape


class OnnxDomain(Domain[Value]):
    """Adds the nodes of a network for images of `size_wh` pixels to `graph`, with batch norms folded or not. Raises
    CfgError where a layer takes no such image."""

    def __init__(self, graph: Graph, netdef: NetDef, weights: Weights, size_wh: tuple[int, int], fold: bool) -> None:
        self.graph, self.netdef, self.weights, self.fold = graph, netdef, weights, fold
        self.shapes = shapes(netdef, *size_wh)
        self.start = Shape(netdef.net.channels, size_wh[1], size_wh[0])

    def image(self) -> Value:
        self.graph.input(IMAGES, self.start)
        return Value(IMAGES, self.start)

    def convolution(self, layer: Convolutional, x: Value) -> Value:
        ops, (weight, *others) = self.graph.of(layer), self._parameters(layer)
        height, width = self.weights.conv(layer.owner).weight.shape[2:]
        self._check_kernel(layer, (height, width), x.shape)
        bias = others if len(others) == 1 else []
        y = ops.add("Conv", x.name, weight, *bias, **attributes(layer, (height, width)))
        if not bias:
            y = ops.add("BatchNormalization", y, *others, epsilon=BATCH_NORM_EPSILON)
        return self._value(layer, ACTIVATIONS[layer.activation](ops, y))

    def shortcut(self, layer: Shortcut, inputs: Sequence[Value]) -> Value:
        ops, (total, *others) = self.graph.of(layer), self._weighted(layer, inputs)
        for other in others:
            total = Value(ops.add("Add", total.name, _as_wide(ops, other, total.shape.channels)), total.shape)
        return self._value(layer, ACTIVATIONS[layer.activation](ops, total.name))

    def route(self, layer: Route, inputs: Sequence[Value]) -> Value:
        ops = self.graph.of(layer)
        parts = [_part(ops, x, layer.groups, layer.group_id) for x in inputs]
        return self._value(layer, ops.join(parts, axis=1))

    def gate(self, layer: Gate, before: Value, source: Value) -> Value:
        ops = self.graph.of(layer)
        return self._value(layer, ACTIVATIONS[layer.activation](ops, ops.add("Mul", source.name, before.name)))

    def reorg(self, layer: Reorg, x: Value) -> Value:
        return self._value(layer, _reorg(self.graph.of(layer), layer, x, self.shapes[layer.index]))

    def channelwise(self, layer: Channelwise, x: Value) -> Value:
        return self._value(layer, _channelwise(self.graph.of(layer), layer, x))

    def _value(self, layer: Layer, name: str) -> Value:
        return Value(name, self.shapes[layer.index])

    def _parameters(self, layer: Convolutional) -> list[str]:
        """The names of a convolution's tensors, which are stored when the layer that owns them is met."""
        record = self.weights.conv(layer.owner)
        prefix = layer_name(self.netdef.layers[layer.owner])
        return [self.graph.tensor(f"{prefix}.{name}", array) for name, array in stored(record, self.fold).items()]

    def _check_kernel(self, layer: Convolutional, kernel_hw: tuple[int, int], x: Shape) -> None:
        if isinstance(layer, Connected) and kernel_hw != x[1:]:
            found, wanted = (f"{hw[1]}x{hw[0]}" for hw in (x[1:], kernel_hw))
            message = f"reads a map of {wanted}, not {found}: its network takes one image size; leave out --img-size"
            raise self.netdef.error(layer, message)

    def _weighted(self, layer: Shortcut, inputs: Sequence[Value]) -> list[Value]:
        """The inputs times their factors; only the channels that have one remain."""
        if layer.weights == "none":
            return list(inputs)
        ops, factors = self.graph.of(layer), self.weights.shortcut(layer.index).factors(layer.normalization)
        found = list[Value]()
        for number, (x, factor) in enumerate(zip(inputs, factors.astype(np.float32), strict=True)):
            width = x.shape.channels if factor.ndim == 0 else min(len(factor), x.shape.channels)
            name = ops.tensor(f"factor_{number}", factor.reshape(-1, 1, 1)[:width])
            found.append(Value(ops.add("Mul", _first(ops, x, width), name), x.shape._replace(channels=width)))
        return found


def _first(ops: Operators, x: Value, channels: int) -> str:
    return x.name if channels == x.shape.channels else ops.slice(x.name, 1, 0, channels)


def _as_wide(ops: Operators, x: Value, channels: int) -> str:
    """x with so many channels: those beyond are cut off, those missing are 0."""
    missing = channels - x.shape.channels
    return ops.pad_end(x.name, 4, 1, missing, 0.0) if missing > 0 else _first(ops, x, channels)


def _part(ops: Operators, x: Value, groups: int, group_id: int) -> str:
    width = x.shape.channels // groups
    return x.name if groups == 1 else ops.slice(x.name, 1, group_id * width, (group_id + 1) * width)


def _reorg(ops: Operators, layer: Reorg, x: Value, out: Shape) -> str:
    """Darknet's index formula on a (c, h, w) view of the memory: that of the output for `reorg3d`, else that of the
    input (as in `prune.model.tensors.reorg`)."""
    s = layer.stride
    c, h, w = out if layer.kind == "reorg3d" else x.shape
    if layer.reverse:
        view, order = (s, s, c // s**2, h, w), (0, 3, 4, 1, 5, 2)
    else:
        view, order = (c // s**2, h, s, w, s), (0, 3, 5, 1, 2, 4)
    return ops.reshape(ops.add("Transpose", ops.reshape(x.name, *view), perm=order), *out)


def _channelwise(ops: Operators, layer: Channelwise, x: Value) -> str:
    match layer:
        case Upsample():
            return _upsample(ops, layer, x.name)
        case Maxpool() if layer.depth:
            return _maxpool_over_channels(ops, layer.depth, x)
        case Maxpool():
            return ops.add("MaxPool", x.name, **_window(layer, x.shape))
        case LocalAvgpool():
            return ops.add("AveragePool", x.name, count_include_pad=0, **_window(layer, x.shape))
        case Avgpool():
            return ops.add("GlobalAveragePool", x.name)
        case Dropout():
            return x.name
        case Softmax():
            return _softmax(ops, layer, x)


def _upsample(ops: Operators, layer: Upsample, x: str) -> str:
    if layer.stride > 1:
        scales = ops.tensor("scales", np.array([1, 1, layer.stride, layer.stride], np.float32))
        modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        x = ops.add("Resize", x, "", scales, **modes)
    return x if layer.scale == 1.0 else ops.times(x, layer.scale)


def _window(layer: Pool, x: Shape) -> dict[str, tuple[int, ...]]:
    """The window of a pooling operator; what it pads counts as −∞, or not at all."""
    around = margins(layer, x.height, x.width)
    return {
        "kernel_shape": (layer.size, layer.size),
        "strides": (layer.stride_y, layer.stride_x),
        "pads": (around.before, around.before, max(around.below, 0), max(around.right, 0)),
    }


def _maxpool_over_channels(ops: Operators, depth: int, x: Value) -> str:
    missing = -x.shape.channels % depth
    padded = ops.pad_end(x.name, 4, 1, missing, float("-inf")) if missing else x.name
    return ops.add("ReduceMax", ops.reshape(padded, -1, depth, *x.shape[1:]), axes=[1], keepdims=0)


def _softmax(ops: Operators, layer: Softmax, x: Value) -> str:
    parts = ops.reshape(x.name, layer.groups, -1)
    cooled = parts if layer.temperature == 1.0 else ops.times(parts, 1 / layer.temperature)
    return ops.reshape(ops.add("Softmax", cooled, axis=2), *x.shape)
