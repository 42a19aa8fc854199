"""The absorption oracle: an independent forward pass that shares nothing with `surgery`, `verify` or `walk`.

It computes a network in numpy float64. A *dead* channel (γ = 0, β kept) is the same everywhere, if the
convolutions that read it pad with its value instead of 0; that is all the pruned network cannot see, so with
such padding the original with dead channels must equal the pruned network, borders included. The value of a
dead channel is not computed but read off its map, which must be flat (else `NotConstantError`).
A *kept* channel can carry an offset: what a dead residual body adds to its skip. It is padded with the offset.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

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
from tests.oracle_maps import Array, Flags, Maps, NotConstantError, activated, largest, pooled, reordered

__all__ = ["Array", "NotConstantError", "deviation", "forward"]


def forward(
    netdef: NetDef,
    weights: Weights,
    image: Array,
    dead: Mapping[int, Flags] | None = None,
    whole: Collection[int] = (),
) -> dict[int, Array]:
    """The values of all head inputs, and of all layers that nothing reads, by layer index.

    image (3, H, W); dead: convolution → which of its output channels are dead; absent: an ordinary pass.
    whole: shortcuts in whose place a convolution keeps the offsets of what they add.
    """
    flags = dead or {}
    start = Maps(image, np.zeros(len(image)), np.zeros(len(image), bool))
    done: dict[int, Maps] = {-1: start}
    read = {source for layer in netdef.layers for source in layer.inputs}
    for layer in netdef.layers:
        inputs = [done[source] for source in layer.inputs]
        maps = _layer(layer, inputs, weights, flags.get(layer.index))
        done[layer.index] = _checked(replace(maps, border=np.zeros_like(maps.border)) if layer.index in whole else maps)
    ends = [layer for layer in netdef.layers if isinstance(layer, Head) or layer.index not in read]
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
    match layer:
        case Convolutional():
            values = activated(layer.activation, _multiplied(layer, inputs[0], weights.conv(layer.owner)))
            flags = np.zeros(layer.filters, bool) if dead is None else dead
            return Maps(values, np.zeros(layer.filters), flags)
        case Shortcut():
            return _sum(layer, inputs, weights)
        case Route():
            return _joined([_part(layer, x) for x in inputs])
        case Gate():
            return _product(layer, *inputs)
    return _passed(layer, inputs[0])


def _passed(layer: Layer, x: Maps) -> Maps:
    match layer:
        case Upsample():
            grown = x.values.repeat(layer.stride, axis=1).repeat(layer.stride, axis=2)
            return Maps(grown * layer.scale, x.border * layer.scale, x.dead)
        case Maxpool() if layer.depth:
            return largest(layer.depth, x)
        case Maxpool():
            return Maps(pooled(layer, x.values, np.max), x.border, x.dead)
        case LocalAvgpool():
            return Maps(pooled(layer, x.values, np.mean), x.border, x.dead)
        case Avgpool():
            return Maps(x.values.mean(axis=(1, 2), keepdims=True), x.border, x.dead)
        case Reorg():
            return reordered(layer, x)
        case Softmax():
            return _shared_out(layer, x)
        case Dropout() | Head():
            return x
    raise TypeError(layer.kind)


def _shared_out(layer: Softmax, x: Maps) -> Maps:
    if x.dead.any() or x.border.any():
        raise NotConstantError
    powers = np.exp(x.values.reshape(layer.groups, -1) / layer.temperature)
    shares = powers / powers.sum(axis=1, keepdims=True)
    return Maps(shares.reshape(x.values.shape), x.border, x.dead)


def _part(layer: Route, x: Maps) -> Maps:
    width = len(x.dead) // layer.groups
    part = slice(width * layer.group_id, width * (layer.group_id + 1))
    return Maps(x.values[part], x.border[part], x.dead[part])


def _joined(parts: list[Maps]) -> Maps:
    values, border = (np.concatenate(arrays) for arrays in ([x.values for x in parts], [x.border for x in parts]))
    return Maps(values, border, np.concatenate([x.dead for x in parts]))


def _sum(layer: Shortcut, inputs: list[Maps], weights: Weights) -> Maps:
    values, border = np.zeros_like(inputs[0].values), np.zeros_like(inputs[0].border)
    dead = np.ones_like(inputs[0].dead)
    for number, other in enumerate(inputs):
        for channel in range(min(len(values), len(other.values))):
            factor = _factor(layer, weights, number, channel)
            values[channel] += factor * other.values[channel]
            border[channel] += factor * other.border[channel]
            dead[channel] &= other.dead[channel]
    if layer.activation != "linear":  # what the product does not note it must have kept within the values
        border[~dead] = 0
    return Maps(activated(layer.activation, values), border, dead)


def _factor(layer: Shortcut, weights: Weights, number: int, channel: int) -> float:
    """What a shortcut multiplies a channel of its input `number` by."""
    if layer.weights == "none":
        return 1.0
    table = weights.shortcut(layer.index).weights.astype(np.float64)
    column = table if layer.weights == "per_feature" else table[:, channel]
    if layer.normalization == "none":
        return float(column[number])
    shares = [max(w, 0.0) if layer.normalization == "relu" else np.exp(w - max(column)) for w in column]
    return float(shares[number] / (1e-4 + sum(shares)))


def _product(layer: Gate, before: Maps, source: Maps) -> Maps:
    """A product is dead where both factors are, or one is and is 0; offsets of kept channels do not pass."""
    if layer.scale_wh:
        channels = len(source.values)
        values = np.repeat(before.values, channels, axis=0)
        before = Maps(values, np.repeat(before.border, channels), np.repeat(before.dead, channels))
    zero = (before.dead & (before.border == 0)) | (source.dead & (source.border == 0))
    dead = zero | (before.dead & source.dead)
    alive = ~dead
    if before.border[alive].any() or source.border[alive].any():
        raise NotConstantError
    values = activated(layer.activation, before.values * source.values)
    return Maps(values, np.zeros(len(dead)), dead)


def _multiplied(layer: Convolutional, x: Maps, record: ConvParams) -> Array:
    """A convolution or connected layer before its activation."""
    if isinstance(layer, Connected):
        y = np.array([(kernel.astype(np.float64) * x.values).sum() for kernel in record.weight])[:, None, None]
    else:
        y = _convolved(layer, x, record)
    bias, *normal = (array.astype(np.float64)[:, None, None] for array in record.arrays()[:-1])
    if not normal:
        return y + bias
    gamma, mean, var = normal
    z: Array = gamma * (y - mean) / np.sqrt(var + 1e-5) + bias
    return z


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
    return np.concatenate(parts)


def _windows(layer: Convolutional, x: Maps) -> Array:
    """(C, H', W', K, K) of the input, padded with each channel's border."""
    assert layer.dilation == 1
    pad, (channels, height, width) = layer.pad, x.values.shape
    padded = np.broadcast_to(x.border[:, None, None], (channels, height + 2 * pad, width + 2 * pad)).copy()
    padded[:, pad : pad + height, pad : pad + width] = x.values
    windows = sliding_window_view(padded, (layer.size, layer.size), axis=(1, 2))
    return windows[:, :: layer.stride_y, :: layer.stride_x]
