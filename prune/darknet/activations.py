"""Darknet's activations on numpy arrays: what a constant becomes on its way through a layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NORMALIZE_EPSILON = 1e-4
"""What the activations that normalize over the channels add to the sum they divide by."""


def logistic(x: Array) -> Array:
    """1 / (1 + exp(−x)), without overflow for any x."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(0.797885 * x + 0.035677 * x**3))


def _elu(x: Array) -> Array:
    return np.where(x >= 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x: Array) -> Array:
    return np.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * np.expm1(np.minimum(x, 0)))


def _hard_mish(x: Array) -> Array:
    return x * np.clip(0.5 * (x + 2.0), 0.0, 1.0)


def _leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.1 * x)


def _lhtan(x: Array) -> Array:
    return np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x))


def _plse(x: Array) -> Array:
    return np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5))


def _stair(x: Array) -> Array:
    floor = np.floor(x)
    return np.floor(x / 2) + np.where(floor % 2 == 0, 0.0, x - floor)


def _normalize_channels(x: Array) -> Array:
    positive = np.maximum(x, 0.0)
    shares: Array = positive / (NORMALIZE_EPSILON + positive.sum(axis=0))
    return shares


def _normalize_channels_softmax(x: Array, largest: Array | float = 0.0) -> Array:
    powers = np.exp(x - largest)
    shares: Array = powers / (NORMALIZE_EPSILON + powers.sum(axis=0))
    return shares


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "leaky": _leaky,
    "revleaky": _leaky,
    "relu": lambda x: np.maximum(x, 0.0),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "ramp": lambda x: np.maximum(x, 0.0) + 0.1 * x,
    "logistic": logistic,
    "loggy": lambda x: 2.0 * logistic(x) - 1.0,
    "tanh": np.tanh,
    "hardtan": lambda x: np.clip(x, -1.0, 1.0),
    "lhtan": _lhtan,
    "plse": _plse,
    "stair": _stair,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "swish": lambda x: x * logistic(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0.0, x)),
    "hard_mish": _hard_mish,
    "h_swish": lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_channels_softmax,
    "normalize_channels_softmax_maxval": lambda x: _normalize_channels_softmax(x, x.max(axis=0)),
}
"""Name in the cfg → function on float64 arrays (C, …): Darknet's whole table (its `activations.c`) and FOREIGN's.

All are elementwise except those of MIXING."""

FOREIGN = frozenset({"h_swish"})
"""Activations that Darknet does not know, of MobileNetV3 (Howard et al. 2019, section 5.2: x · relu6(x + 3) / 6).
PyTorch programs put them into their cfgs."""

MIXING = frozenset(name for name in ACTIVATIONS if name.startswith("normalize_channels"))
"""Activations that divide by a sum over the channels (the first axis here), pixel by pixel."""

CONVOLUTIONAL_ONLY = MIXING | {"hard_mish"}
"""What Darknet computes in convolutions only; elsewhere its output would be 0."""
