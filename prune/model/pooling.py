"""Pooling as Darknet places its windows: the first starts at −padding//2, and pixels outside the map do not count."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.layers import LocalAvgpool, Maxpool

Pool = Maxpool | LocalAvgpool


def maxpool(layer: Maxpool, x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, H', W'); over channels, (B, depth, H, W), where the layer has a `depth`."""
    if layer.depth:
        return _over_channels(layer.depth, x)
    before, after_y, after_x = _padding(layer, x)
    strides = (layer.stride_y, layer.stride_x)
    if before == after_x == after_y and 2 * before <= layer.size:
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
    before, after_y, after_x = _padding(layer, x)
    if not before and after_x <= 0 and after_y <= 0:
        return x
    return F.pad(x, (before, max(after_x, 0), before, max(after_y, 0)), value=value)


def _padding(layer: Pool, x: Tensor) -> tuple[int, int, int]:
    """Pixels of padding before the map, below and to the right of it; negative where some are not read."""
    after_y, after_x = _after(x.shape[2], layer, layer.stride_y), _after(x.shape[3], layer, layer.stride_x)
    return layer.padding // 2, after_y, after_x


def _after(length: int, layer: Pool, stride: int) -> int:
    outputs = (length + layer.padding - layer.size) // stride + 1
    return (outputs - 1) * stride + layer.size - length - layer.padding // 2
