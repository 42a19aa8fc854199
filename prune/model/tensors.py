"""What every layer but the convolution does to tensors (B, C, H, W), exactly as Darknet computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.layers import Avgpool, Convolutional, Dropout, Gate, Maxpool, Route, Shortcut, Upsample
from prune.darknet.walk import Domain, Passing

BATCH_NORM_EPSILON = 1e-5
"""Darknet divides by sqrt(var + 1e-5)."""


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(0.797885 * x + 0.035677 * x**3))


def _hard_mish(x: Tensor) -> Tensor:
    return x * (0.5 * (x + 2.0)).clamp(0.0, 1.0)


def _selu(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * torch.expm1(x.clamp(max=0)))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "relu": F.relu,
    "relu6": F.relu6,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "mish": F.mish,
    "swish": F.silu,
    "hard_mish": _hard_mish,
    "elu": F.elu,
    "selu": _selu,
    "gelu": _gelu,
    "loggy": lambda x: 2.0 * torch.sigmoid(x) - 1.0,
}
"""Name in the cfg → function; the same names as `prune.darknet.activations`."""


class TensorDomain(Domain[Tensor]):
    """A forward pass. `convolve` computes a convolution with its batch norm and activation."""

    def __init__(
        self, imgs: Tensor, convolve: Callable[[Convolutional, Tensor], Tensor], training: bool = False
    ) -> None:
        self.imgs, self.convolve, self.training = imgs, convolve, training

    def image(self) -> Tensor:
        return self.imgs

    def convolution(self, layer: Convolutional, x: Tensor) -> Tensor:
        return self.convolve(layer, x)

    def shortcut(self, layer: Shortcut, inputs: Sequence[Tensor]) -> Tensor:
        total, *others = inputs
        for other in others:
            total = _add_common(total, other)
        return ACTIVATIONS[layer.activation](total)

    def route(self, layer: Route, inputs: Sequence[Tensor]) -> Tensor:
        # no chunk of one part: it would stand in exported and traced graphs as a split
        parts = list(inputs) if layer.groups == 1 else [x.chunk(layer.groups, dim=1)[layer.group_id] for x in inputs]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def gate(self, layer: Gate, before: Tensor, source: Tensor) -> Tensor:
        return ACTIVATIONS[layer.activation](source * before)

    def passing(self, layer: Passing, x: Tensor) -> Tensor:
        match layer:
            case Upsample():
                return _upsample(layer, x)
            case Maxpool():
                return _maxpool(layer, x)
            case Avgpool():
                return x.mean(dim=(2, 3), keepdim=True)
            case Dropout():
                return F.dropout(x, layer.probability, self.training)


def _add_common(total: Tensor, other: Tensor) -> Tensor:
    """Adds the first channels both have; the result is as wide as `total`."""
    width, extra = total.shape[1], total.shape[1] - other.shape[1]
    if extra > 0:
        other = F.pad(other, (0, 0, 0, 0, 0, extra))
    return total + other[:, :width]


def _upsample(layer: Upsample, x: Tensor) -> Tensor:
    y = F.interpolate(x, scale_factor=float(layer.stride), mode="nearest") if layer.stride > 1 else x
    return y if layer.scale == 1.0 else y * layer.scale


def _maxpool(layer: Maxpool, x: Tensor) -> Tensor:
    """Darknet's window starts at −padding//2 and pads with −FLT_MAX wherever it leaves the map."""
    before = layer.padding // 2
    after_y = _behind(x.shape[2], layer, layer.stride_y)
    after_x = _behind(x.shape[3], layer, layer.stride_x)
    if before == after_x == after_y and 2 * before <= layer.size:
        return F.max_pool2d(x, layer.size, (layer.stride_y, layer.stride_x), before)
    if before or after_x > 0 or after_y > 0:
        x = F.pad(x, (before, max(after_x, 0), before, max(after_y, 0)), value=float("-inf"))
    return F.max_pool2d(x, layer.size, (layer.stride_y, layer.stride_x))


def _behind(length: int, layer: Maxpool, stride: int) -> int:
    """How many pixels of padding the last window needs behind the map; negative where some stay unread."""
    outputs = (length + layer.padding - layer.size) // stride + 1
    return (outputs - 1) * stride + layer.size - length - layer.padding // 2
