"""Darknet's activations on tensors (B, C, H, W); the same names as `prune.darknet.activations`."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.activations import NORMALIZE_EPSILON


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(0.797885 * x + 0.035677 * x**3))


def _hard_mish(x: Tensor) -> Tensor:
    return x * (0.5 * (x + 2.0)).clamp(0.0, 1.0)


def _selu(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * torch.expm1(x.clamp(max=0)))


def _lhtan(x: Tensor) -> Tensor:
    inside = x.clamp(0.0, 1.0)
    return inside + 0.001 * (x - inside)


def _plse(x: Tensor) -> Tensor:
    inside = x.clamp(-4.0, 4.0)
    return 0.125 * inside + 0.5 + 0.01 * (x - inside)


def _stair(x: Tensor) -> Tensor:
    floor = x.floor()
    return (x / 2).floor() + torch.where(floor % 2 == 0, 0.0, x - floor)


def _normalize_channels(x: Tensor) -> Tensor:
    positive = F.relu(x)
    return positive / (NORMALIZE_EPSILON + positive.sum(1, keepdim=True))


def _normalize_channels_softmax(x: Tensor) -> Tensor:
    powers = x.exp()
    return powers / (NORMALIZE_EPSILON + powers.sum(1, keepdim=True))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "leaky": _leaky,
    "revleaky": _leaky,
    "relu": F.relu,
    "relu6": F.relu6,
    "relie": lambda x: F.leaky_relu(x, 0.01),
    "ramp": lambda x: F.relu(x) + 0.1 * x,
    "logistic": torch.sigmoid,
    "loggy": lambda x: 2.0 * torch.sigmoid(x) - 1.0,
    "tanh": torch.tanh,
    "hardtan": F.hardtanh,
    "lhtan": _lhtan,
    "plse": _plse,
    "stair": _stair,
    "elu": F.elu,
    "selu": _selu,
    "gelu": _gelu,
    "swish": F.silu,
    "mish": F.mish,
    "hard_mish": _hard_mish,
    "h_swish": F.hardswish,
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_channels_softmax,
    "normalize_channels_softmax_maxval": lambda x: _normalize_channels_softmax(x - x.amax(1, keepdim=True)),
}
"""Name in the cfg → function, elementwise except those that normalize over the channels (dimension 1)."""
