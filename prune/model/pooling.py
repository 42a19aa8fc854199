"""Pooling as Darknet places its windows: the first starts at −padding//2, and pixels outside the map do not count."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.layers import LocalAvgpool, Maxpool
from prune.darknet.windows import Pool, margins


def maxpool(layer: Maxpool, x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, H', W'); over channels, (B, depth, H, W), where the layer has a `depth`."""
    if layer.depth:
        return _over_channels(layer.depth, x)
    before, below, right = margins(layer, *x.shape[2:])
    strides = (layer.stride_y, layer.stride_x)
    if before == right == below and 2 * before <= layer.size:
        return F.max_pool2d(x, layer.size, strides, before)
    return F.max_pool2d(_padded(layer, x, float("-inf")), layer.size, strides)


def local_avgpool(layer: LocalAvgpool, x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, H', W'): the mean of the pixels of each window that lie within the map."""
    inside = _window_sums(layer, torch.ones_like(x[:1, :1]))
    return _window_sums(layer, x) / inside


def _window_sums(layer: LocalAvgpool, x: Tensor) -> Tensor:
    strides = (layer.stride_y, layer.stride_x)
    return F.avg_pool2d(_padded(layer, x, 0.0), layer.size, strides, divisor_override=1)


def _over_channels(depth: int, x: Tensor) -> Tensor:
    missing = -x.shape[1] % depth
    x = F.pad(x, (0, 0, 0, 0, 0, missing), value=float("-inf")) if missing else x
    return x.reshape(x.shape[0], -1, depth, *x.shape[2:]).amax(1)


def _padded(layer: Pool, x: Tensor, value: float) -> Tensor:
    before, below, right = margins(layer, *x.shape[2:])
    if not before and right <= 0 and below <= 0:
        return x
    return F.pad(x, (before, max(right, 0), before, max(below, 0)), value=value)
