"""How much each channel varies over images and places, from the floats of the network alone: no image is needed.

Batch norm gives a channel the mean β and the standard deviation |γ|; what its activation makes of a normal distribution
of that mean and deviation is integrated numerically. Channels count as independent of each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prune.darknet.activations import ACTIVATIONS, MIXING
from prune.darknet.layers import Convolutional, Gate, Maxpool, Reorg, Route, Shortcut, Upsample
from prune.darknet.records import ConvParams, Weights
from prune.darknet.walk import Channelwise, Domain
from prune.graph.folds import folded
from prune.plan.valley import Array

_NODES, _SHARES = np.polynomial.hermite_e.hermegauss(64)
_SHARES = _SHARES / _SHARES.sum()


class SpreadWalk(Domain[Array]):
    """The variance of each layer's channels; of the image 0. `read`: of what each convolution reads, by its index."""

    def __init__(self, weights: Weights, channels: int) -> None:
        self.weights, self.channels = weights, channels
        self.read: dict[int, Array] = {}

    def image(self) -> Array:
        return np.zeros(self.channels)

    def convolution(self, layer: Convolutional, x: Array) -> Array:
        self.read[layer.index] = x
        params = self.weights.conv(layer.owner)
        mean = params.bias.astype(np.float64)
        if params.gamma is not None:
            deviation = np.abs(params.gamma.astype(np.float64))
        else:
            powers = kernel_powers(params, layer.groups).reshape(layer.groups, layer.filters // layer.groups, -1)
            deviation = np.sqrt((powers * x.reshape(layer.groups, 1, -1)).sum(axis=2).ravel())
        return activated_variance(layer.activation, mean, deviation)

    def shortcut(self, layer: Shortcut, inputs: Sequence[Array]) -> Array:
        total = np.zeros(len(inputs[0]))
        factors = np.ones(len(inputs))
        if layer.weights != "none":
            factors = self.weights.shortcut(layer.index).factors(layer.normalization)
        for factor, x in zip(factors, inputs, strict=True):
            common = min(len(total), len(x))
            total[:common] += (np.broadcast_to(factor, total.shape)[:common] ** 2) * x[:common]
        return total

    def route(self, layer: Route, inputs: Sequence[Array]) -> Array:
        return np.concatenate([np.split(x, layer.groups)[layer.group_id] for x in inputs])

    def gate(self, layer: Gate, before: Array, source: Array) -> Array:
        return source

    def reorg(self, layer: Reorg, x: Array) -> Array:
        cells = layer.stride**2
        if layer.reverse:
            return _largest(x, len(x) // cells)
        if layer.kind == "reorg":
            x = np.repeat(x.reshape(-1, cells).mean(axis=1), cells)
        return np.tile(x, cells)

    def channelwise(self, layer: Channelwise, x: Array) -> Array:
        if isinstance(layer, Upsample):
            return x * layer.scale**2
        return _largest(x, layer.depth) if isinstance(layer, Maxpool) and layer.depth else x


def activated_variance(activation: str, mean: Array, deviation: Array) -> Array:
    """The variance (C,) of an activation of normally distributed channels. Activations over all channels count as
    linear."""
    if activation in MIXING:
        return deviation**2
    values = ACTIVATIONS[activation](mean[:, None] + deviation[:, None] * _NODES)
    centre = values @ _SHARES
    return np.asarray(((values - centre[:, None]) ** 2) @ _SHARES)


def kernel_powers(params: ConvParams, groups: int) -> Array:
    """The sum of the squares of each kernel: (O, I/groups)."""
    return np.asarray((params.weight.astype(np.float64) ** 2).sum(axis=(2, 3)))


def _largest(x: Array, width: int) -> Array:
    return np.asarray(np.fmax.reduce(folded(x, width, np.nan), axis=0))
