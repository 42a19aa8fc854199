"""Darknet's sections as plain loops over numpy arrays, written from its definitions; slow and independent.

Arrays are (C, H, W) float64. `forward` runs a small network; nothing here uses the code under test except the typed
layers of a cfg.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import (
    Avgpool,
    Connected,
    Convolutional,
    Dropout,
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
from prune.darknet.records import ConvParams, Weights
from tests.torch.reference_activations import activated, softmax

Array = NDArray[np.float64]


def forward(netdef: NetDef, weights: Weights, image: Array) -> list[Array]:
    """The outputs of all layers, in order; a head's is its input."""
    done: dict[int, Array] = {-1: image.astype(np.float64)}
    for layer in netdef.layers:
        done[layer.index] = _layer(layer, [done[i] for i in layer.inputs], weights)
    return [done[layer.index] for layer in netdef.layers]


def _layer(layer: Layer, inputs: Sequence[Array], weights: Weights) -> Array:
    match layer:
        case Connected():
            return connected(layer, inputs[0], weights.conv(layer.index))
        case Convolutional():
            return convolution(layer, inputs[0], weights.conv(layer.index if layer.share is None else layer.share))
        case Shortcut():
            stored = None if layer.weights == "none" else weights.shortcut(layer.index).weights.astype(np.float64)
            return activated(layer.activation, shortcut(inputs, stored, layer.normalization))
        case Route():
            return np.concatenate([_part(layer, x) for x in inputs])
        case Gate():
            return activated(layer.activation, gate(layer, *inputs))
    return _reshaped(layer, inputs[0])


def _part(layer: Route, x: Array) -> Array:
    width = len(x) // layer.groups
    return x[layer.group_id * width : (layer.group_id + 1) * width]


def _reshaped(layer: Layer, x: Array) -> Array:
    match layer:
        case Reorg():
            return reorg(layer, x)
        case Upsample():
            rows, columns = (np.arange(n * layer.stride) // layer.stride for n in x.shape[1:])
            return layer.scale * x[:, rows][:, :, columns]
        case Maxpool():
            return maxpool_depth(layer, x) if layer.depth else pool(layer, x, max)
        case LocalAvgpool():
            return pool(layer, x, lambda values: sum(values) / len(values))
        case Avgpool():
            return np.array([[[channel.sum() / channel.size]] for channel in x])
        case Softmax():
            return softmax_of_parts(layer, x)
        case Dropout() | Head():
            return x
    raise TypeError(layer.kind)


def convolution(layer: Convolutional, x: Array, record: ConvParams) -> Array:
    """Groups, dilation, two strides, zero padding, batch norm with 1e-5, activation."""
    reach = layer.dilation * (layer.size - 1) + 1
    rows = (x.shape[1] + 2 * layer.pad - reach) // layer.stride_y + 1
    columns = (x.shape[2] + 2 * layer.pad - reach) // layer.stride_x + 1
    each_in, each_out = len(x) // layer.groups, layer.filters // layer.groups
    kernel = record.weight.astype(np.float64)
    y = np.zeros((layer.filters, rows, columns))
    for g, i, j, row, column in product(
        range(layer.groups), range(layer.size), range(layer.size), range(rows), range(columns)
    ):
        top = row * layer.stride_y - layer.pad + i * layer.dilation
        left = column * layer.stride_x - layer.pad + j * layer.dilation
        if 0 <= top < x.shape[1] and 0 <= left < x.shape[2]:
            out, seen = slice(g * each_out, (g + 1) * each_out), slice(g * each_in, (g + 1) * each_in)
            y[out, row, column] += kernel[out, :, i, j] @ x[seen, top, left]
    return activated(layer.activation, _normal(y, record))


def connected(layer: Connected, x: Array, record: ConvParams) -> Array:
    """A product with the flattened input: output o is Σ w[o, k]·x[k], k running over C, H, W."""
    flat = x.ravel()
    kernel = record.weight.reshape(len(record.weight), -1)
    y = np.array([sum(float(w) * v for w, v in zip(row, flat, strict=True)) for row in kernel])
    return activated(layer.activation, _normal(y[:, None, None], record))


def _normal(y: Array, record: ConvParams) -> Array:
    out = y.copy()
    for o in range(len(y)):
        if record.gamma is not None and record.mean is not None and record.var is not None:
            out[o] = float(record.gamma[o]) * (y[o] - float(record.mean[o])) / math.sqrt(float(record.var[o]) + 1e-5)
        out[o] += float(record.bias[o])
    return out


def shortcut(inputs: Sequence[Array], weights: Array | None, normalization: str) -> Array:
    """shortcut_multilayer_cpu of Darknet's blas.c, number by number."""
    first, n = inputs[0], len(inputs)
    out = np.zeros_like(first)
    per = weights.reshape(n, -1) if weights is not None else np.ones((n, 1))
    for c, row, column in np.ndindex(*first.shape):
        w = [float(per[k, c % per.shape[1] if per.shape[1] > 1 else 0]) for k in range(n)]
        if weights is not None and normalization == "relu":
            w = [max(v, 0.0) / (0.0001 + sum(max(u, 0.0) for u in w)) for v in w]
        elif weights is not None and normalization == "softmax":
            e = [math.exp(v - max(w)) for v in w]
            w = [v / (0.0001 + sum(e)) for v in e]
        out[c, row, column] = sum(w[k] * x[c, row, column] for k, x in enumerate(inputs) if c < len(x))
    return out


def gate(layer: Gate, before: Array, source: Array) -> Array:
    """scale_channels (by channel, or by pixel with scale_wh) and sam."""
    out = np.zeros_like(source)
    for c, row, column in np.ndindex(*source.shape):
        if layer.kind == "sam":
            factor = before[c, row, column]
        else:
            factor = before[0, row, column] if layer.scale_wh else before[c, 0, 0]
        out[c, row, column] = factor * source[c, row, column]
    return out


def reorg(layer: Reorg, x: Array) -> Array:
    """reorg_cpu of Darknet's blas.c over flat memory; the old layer passes its input's size, reorg3d its output's."""
    s, (c, h, w) = layer.stride, x.shape
    shape = (c // s**2, h * s, w * s) if layer.reverse else (c * s**2, h // s, w // s)
    channels, height, width = shape if layer.kind == "reorg3d" else (c, h, w)
    memory, out, fewer = x.ravel(), np.zeros(x.size), channels // s**2
    for k, j, i in product(range(channels), range(height), range(width)):
        near = i + width * (j + height * k)
        offset = k // fewer
        column, row = i * s + offset % s, j * s + offset // s
        far = column + width * s * (row + height * s * (k % fewer))
        if layer.reverse:
            out[far] = memory[near]
        else:
            out[near] = memory[far]
    return out.reshape(shape)


def pool(layer: Maxpool | LocalAvgpool, x: Array, reduce: Callable[[list[float]], float]) -> Array:
    """Windows from −padding//2 on; pixels outside the map do not count."""
    rows = (x.shape[1] + layer.padding - layer.size) // layer.stride_y + 1
    columns = (x.shape[2] + layer.padding - layer.size) // layer.stride_x + 1
    out = np.zeros((len(x), rows, columns))
    for c, row, column in np.ndindex(*out.shape):
        top, left = row * layer.stride_y - layer.padding // 2, column * layer.stride_x - layer.padding // 2
        cells = product(range(top, top + layer.size), range(left, left + layer.size))
        inside = [float(x[c, i, j]) for i, j in cells if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]]
        out[c, row, column] = reduce(inside)
    return out


def maxpool_depth(layer: Maxpool, x: Array) -> Array:
    """Output g of `depth`: the largest of channels g, g + depth, …"""
    out = np.full((layer.depth, *x.shape[1:]), -np.inf)
    for g, row, column in np.ndindex(*out.shape):
        out[g, row, column] = max(x[k, row, column] for k in range(g, len(x), layer.depth))
    return out


def softmax_of_parts(layer: Softmax, x: Array) -> Array:
    """Over all numbers of each of the equal parts."""
    parts = x.reshape(layer.groups, -1)
    return np.concatenate([softmax(part / layer.temperature) for part in parts]).reshape(x.shape)
