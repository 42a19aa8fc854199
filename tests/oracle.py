"""The absorption oracle: a forward pass of its own, which shares nothing with `surgery`, `verify` or `walk`.

It computes a network in numpy float64. A *dead* channel (γ = 0, β kept) is the same everywhere, if the
convolutions that read it pad with its value instead of 0; that is all the pruned network cannot see, so with
such padding the original with dead channels must equal the pruned network, borders included. The value of a
dead channel is not computed but read off its map, which must be flat (else `NotConstantError`).
A *kept* channel can carry an offset: what a dead residual body adds to its skip. It is padded with the offset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from prune.darknet.layers import (
    Avgpool,
    Convolutional,
    Dropout,
    Gate,
    Layer,
    Maxpool,
    Route,
    Shortcut,
    Upsample,
    Yolo,
)
from prune.darknet.netdef import NetDef
from prune.darknet.weights import ConvParams, Weights

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


class NotConstantError(Exception):
    """A channel that should be dead is not: absorption cannot be exact for this network."""


@dataclass(frozen=True)
class Maps:
    """values (C, H, W); border (C,): what a convolution pads each channel with; dead (C,) bool."""

    values: Array
    border: Array
    dead: Flags


def forward(
    netdef: NetDef, weights: Weights, image: Array, dead: Mapping[int, Flags] | None = None
) -> dict[int, Array]:
    """The values of all head inputs, and of all layers that nothing reads, by layer index.

    image (3, H, W); dead: convolution → which of its output channels are dead; absent: an ordinary pass.
    """
    flags = dead or {}
    start = Maps(image, np.zeros(len(image)), np.zeros(len(image), bool))
    done: dict[int, Maps] = {-1: start}
    read = {source for layer in netdef.layers for source in layer.inputs}
    for layer in netdef.layers:
        inputs = [done[source] for source in layer.inputs]
        done[layer.index] = _checked(_layer(layer, inputs, weights, flags.get(layer.index)))
    ends = [layer for layer in netdef.layers if isinstance(layer, Yolo) or layer.index not in read]
    return {layer.index: done[layer.index].values for layer in ends}


def deviation(original: Mapping[int, Array], pruned: Mapping[int, Array]) -> float:
    """The largest max|a−b| / max|b| over the outputs, which are matched in their order."""
    assert len(original) == len(pruned), "the networks have different numbers of outputs"
    pairs = zip(original.values(), pruned.values(), strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in pairs)


def _checked(maps: Maps) -> Maps:
    """Dead channels take their border from their flat map."""
    if not maps.dead.any():
        return maps
    flat = maps.values[maps.dead].reshape(int(maps.dead.sum()), -1)
    if np.ptp(flat, axis=1).max() > 1e-12 * (1 + np.abs(flat).max()):
        raise NotConstantError
    border = maps.border.copy()
    border[maps.dead] = flat[:, 0]
    return Maps(maps.values, border, maps.dead)


def _layer(layer: Layer, inputs: list[Maps], weights: Weights, dead: Flags | None) -> Maps:
    first = inputs[0]
    match layer:
        case Convolutional():
            values = _activated(layer.activation, _convolved(layer, first, weights.records[layer.index]))
            flags = np.zeros(layer.filters, bool) if dead is None else dead
            return Maps(values, np.zeros(layer.filters), flags)
        case Shortcut():
            return _sum(layer, inputs)
        case Route():
            return _joined([_part(layer, x) for x in inputs])
        case Gate():
            return _product(layer, *inputs)
        case Upsample():
            grown = first.values.repeat(layer.stride, axis=1).repeat(layer.stride, axis=2)
            return Maps(grown * layer.scale, first.border * layer.scale, first.dead)
        case Maxpool():
            return Maps(_maxpool(layer, first.values), first.border, first.dead)
        case Avgpool():
            return Maps(first.values.mean(axis=(1, 2), keepdims=True), first.border, first.dead)
        case Dropout() | Yolo():
            return first
    raise TypeError(layer.kind)


def _part(layer: Route, x: Maps) -> Maps:
    width = len(x.dead) // layer.groups
    part = slice(width * layer.group_id, width * (layer.group_id + 1))
    return Maps(x.values[part], x.border[part], x.dead[part])


def _joined(parts: list[Maps]) -> Maps:
    values, border = (np.concatenate(arrays) for arrays in ([x.values for x in parts], [x.border for x in parts]))
    return Maps(values, border, np.concatenate([x.dead for x in parts]))


def _sum(layer: Shortcut, inputs: list[Maps]) -> Maps:
    values, border, dead = inputs[0].values.copy(), inputs[0].border.copy(), inputs[0].dead.copy()
    for other in inputs[1:]:
        common = min(len(values), len(other.values))
        values[:common] += other.values[:common]
        border[:common] += other.border[:common]
        dead[:common] &= other.dead[:common]
    if layer.activation != "linear" and border[~dead].any():
        raise NotConstantError
    return Maps(_activated(layer.activation, values), border, dead)


def _product(layer: Gate, before: Maps, source: Maps) -> Maps:
    """A product is dead where both factors are, or one is and is 0; offsets of kept channels do not pass."""
    zero = (before.dead & (before.border == 0)) | (source.dead & (source.border == 0))
    dead = zero | (before.dead & source.dead)
    alive = ~dead
    if before.border[alive].any() or source.border[alive].any():
        raise NotConstantError
    values = _activated(layer.activation, before.values * source.values)
    return Maps(values, np.zeros(len(dead)), dead)


def _convolved(layer: Convolutional, x: Maps, record: ConvParams) -> Array:
    windows = _windows(layer, x)
    inputs, outputs = len(x.dead) // layer.groups, layer.filters // layer.groups
    kernel = record.weight.astype(np.float64)
    parts = [
        np.einsum(
            "chwij,ocij->ohw",
            windows[g * inputs : (g + 1) * inputs],
            kernel[g * outputs : (g + 1) * outputs],
            optimize=True,
        )
        for g in range(layer.groups)
    ]
    y = np.concatenate(parts)
    bias, *normal = (array.astype(np.float64)[:, None, None] for array in record.arrays()[:-1])
    if not normal:
        return y + bias
    gamma, mean, var = normal
    z: Array = gamma * (y - mean) / np.sqrt(var + 1e-5) + bias
    return z


def _windows(layer: Convolutional, x: Maps) -> Array:
    """(C, H', W', K, K) of the input, padded with each channel's border."""
    assert layer.dilation == 1
    pad, (channels, height, width) = layer.pad, x.values.shape
    padded = np.broadcast_to(x.border[:, None, None], (channels, height + 2 * pad, width + 2 * pad)).copy()
    padded[:, pad : pad + height, pad : pad + width] = x.values
    windows = sliding_window_view(padded, (layer.size, layer.size), axis=(1, 2))
    return windows[:, :: layer.stride_y, :: layer.stride_x]


def _maxpool(layer: Maxpool, x: Array) -> Array:
    before, (height, width) = layer.padding // 2, x.shape[1:]
    rows = (height + layer.padding - layer.size) // layer.stride_y + 1
    columns = (width + layer.padding - layer.size) // layer.stride_x + 1
    out = np.full((len(x), rows, columns), -np.inf)
    for row in range(rows):
        for column in range(columns):
            top, left = row * layer.stride_y - before, column * layer.stride_x - before
            window = x[:, max(top, 0) : top + layer.size, max(left, 0) : left + layer.size]
            out[:, row, column] = window.max(axis=(1, 2))
    return out


def _activated(name: str, x: Array) -> Array:
    """Written from the definitions, not taken from the code under test."""
    y: Array = _ACTIVATIONS[name](x)
    return y


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "leaky": lambda x: np.maximum(x, 0.1 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x >= 0, x, np.exp(np.minimum(x, 0)) - 1),
    "selu": lambda x: 1.0507 * np.where(x >= 0, x, 1.6732 * (np.exp(np.minimum(x, 0)) - 1)),
    "hard_mish": lambda x: np.select([x > 0, x > -2], [x, x * (x + 2) / 2], 0),
}
