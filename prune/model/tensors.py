"""The operation of every layer on tensors (B, C, H, W), exactly as in Darknet."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.layers import (
    Avgpool,
    Dropout,
    Gate,
    LocalAvgpool,
    Maxpool,
    Reorg,
    Route,
    Shortcut,
    Softmax,
    Upsample,
)
from prune.darknet.records import NORMALIZATION_EPSILON
from prune.darknet.walk import Channelwise, Domain
from prune.model.activations import ACTIVATIONS
from prune.model.pooling import local_avgpool, maxpool


class TensorDomain(Domain[Tensor]):
    """A forward pass; subclasses supply the parameters of convolutions and of weighted shortcuts."""

    def __init__(self, imgs: Tensor, training: bool = False) -> None:
        self.imgs, self.training = imgs, training

    @abstractmethod
    def shortcut_weights(self, layer: Shortcut) -> Tensor:
        """The weights of a weighted shortcut as they are stored: (n,) or (n, C)."""

    def image(self) -> Tensor:
        return self.imgs

    def shortcut(self, layer: Shortcut, inputs: Sequence[Tensor]) -> Tensor:
        if layer.weights != "none":
            factors = shortcut_factors(self.shortcut_weights(layer), layer.normalization)
            inputs = [_weighted(x, factor) for x, factor in zip(inputs, factors, strict=True)]
        total, *others = inputs
        for other in others:
            total = _add_common(total, other)
        return ACTIVATIONS[layer.activation](total)

    def route(self, layer: Route, inputs: Sequence[Tensor]) -> Tensor:
        # no chunk into one part: it would appear in exported and traced graphs as a split
        parts = list(inputs) if layer.groups == 1 else [x.chunk(layer.groups, dim=1)[layer.group_id] for x in inputs]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def gate(self, layer: Gate, before: Tensor, source: Tensor) -> Tensor:
        return ACTIVATIONS[layer.activation](source * before)

    def reorg(self, layer: Reorg, x: Tensor) -> Tensor:
        return reorg(layer, x)

    def channelwise(self, layer: Channelwise, x: Tensor) -> Tensor:
        match layer:
            case Upsample():
                return _upsample(layer, x)
            case Maxpool():
                return maxpool(layer, x)
            case LocalAvgpool():
                return local_avgpool(layer, x)
            case Avgpool():
                return x.mean(dim=(2, 3), keepdim=True)
            case Dropout():
                return F.dropout(x, layer.probability, self.training)
            case Softmax():
                return softmax(layer, x)


def shortcut_factors(weights: Tensor, normalization: str) -> Tensor:
    """The factors of the inputs of a weighted shortcut, with the shape of its weights: (n,) or (n, C).

    Normalized to a sum over the inputs of (almost) one by `relu` or `softmax`; AlexeyAB's Darknet, blas.c,
    shortcut_multilayer_cpu.
    """
    if normalization == "none":
        return weights
    shares = F.relu(weights) if normalization == "relu" else (weights - weights.amax(0, keepdim=True)).exp()
    return shares / (shares.sum(0, keepdim=True) + NORMALIZATION_EPSILON)


def reorg(layer: Reorg, x: Tensor) -> Tensor:
    """Space to depth or back (B, C, H, W) → (B, C', H', W') by Darknet's index formula (blas.c, reorg_cpu).

    The formula runs over a (channels, height, width) view of the memory: that of the output for `reorg3d`, that of
    the input for the old `reorg`.
    """
    s, (batch, channels, height, width) = layer.stride, x.shape
    out = (channels // s**2, height * s, width * s) if layer.reverse else (channels * s**2, height // s, width // s)
    c, h, w = out if layer.kind == "reorg3d" else (channels, height, width)
    if layer.reverse:
        y = x.reshape(batch, s, s, c // s**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(batch, c // s**2, h, s, w, s).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(batch, *out)


def softmax(layer: Softmax, x: Tensor) -> Tensor:
    """Softmax over all numbers of each of the layer's equal parts of (C, H, W)."""
    parts = x.reshape(x.shape[0], layer.groups, -1) / layer.temperature
    return parts.softmax(2).reshape(x.shape)


def _weighted(x: Tensor, factor: Tensor) -> Tensor:
    """x (B, C, H, W) times a number, or times one number for each channel that both have."""
    if factor.dim() == 0:
        return x * factor
    width = min(len(factor), x.shape[1])
    return x[:, :width] * factor[:width].view(1, -1, 1, 1)


def _add_common(total: Tensor, other: Tensor) -> Tensor:
    """Adds the first channels that both have; the result is as wide as `total`."""
    width, extra = total.shape[1], total.shape[1] - other.shape[1]
    if extra > 0:
        other = F.pad(other, (0, 0, 0, 0, 0, extra))
    return total + other[:, :width]


def _upsample(layer: Upsample, x: Tensor) -> Tensor:
    y = F.interpolate(x, scale_factor=float(layer.stride), mode="nearest") if layer.stride > 1 else x
    return y if layer.scale == 1.0 else y * layer.scale
