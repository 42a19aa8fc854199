"""Darknet's table of activations (activations.h), one number at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softmax(x: Array) -> Array:
    """(n,) → (n,)"""
    powers = [math.exp(v - max(x)) for v in x]
    return np.array(powers) / sum(powers)


def activated(name: str, x: Array) -> Array:
    """Any of Darknet's table: number by number, except those that normalize over the channels of a pixel."""
    out = np.zeros_like(x)
    if not name.startswith("normalize_channels"):
        for place in np.ndindex(*x.shape):
            out[place] = SCALARS[name](float(x[place]))
        return out
    for row, column in np.ndindex(*x.shape[1:]):
        pixel = x[:, row, column]
        if name == "normalize_channels":
            values = [max(float(v), 0.0) for v in pixel]
        else:
            largest = float(pixel.max()) if name.endswith("maxval") else 0.0
            values = [math.exp(float(v) - largest) for v in pixel]
        out[:, row, column] = [v / (0.0001 + sum(values)) for v in values]
    return out


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _softplus(x: float) -> float:
    return math.log(math.exp(x) + 1)


def _stair(x: float) -> float:
    n = math.floor(x)
    return math.floor(x / 2) if n % 2 == 0 else (x - n) + math.floor(x / 2)


def _plse(x: float) -> float:
    if x < -4:
        return 0.01 * (x + 4)
    return 0.01 * (x - 4) + 1 if x > 4 else 0.125 * x + 0.5


def _lhtan(x: float) -> float:
    if x < 0:
        return 0.001 * x
    return 0.001 * (x - 1) + 1 if x > 1 else x


def _hard_mish(x: float) -> float:
    if x > 0:
        return x
    return x * x / 2 + x if x > -2 else 0.0


SCALARS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "leaky": lambda x: x if x > 0 else 0.1 * x,
    "revleaky": lambda x: x if x > 0 else 0.1 * x,
    "relu": lambda x: x * (x > 0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "relie": lambda x: x if x > 0 else 0.01 * x,
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "logistic": _logistic,
    "loggy": lambda x: 2 / (1 + math.exp(-x)) - 1,
    "tanh": lambda x: 2 / (1 + math.exp(-2 * x)) - 1,
    "hardtan": lambda x: -1.0 if x < -1 else 1.0 if x > 1 else x,
    "lhtan": _lhtan,
    "plse": _plse,
    "stair": _stair,
    "elu": lambda x: x if x >= 0 else math.exp(x) - 1,
    "selu": lambda x: 1.0507 * x if x >= 0 else 1.0507 * 1.6732 * (math.exp(x) - 1),
    "gelu": lambda x: 0.5 * x * (1 + math.tanh(0.797885 * x + 0.035677 * x**3)),
    "swish": lambda x: x * _logistic(x),
    "mish": lambda x: x * math.tanh(_softplus(x)),
    "hard_mish": _hard_mish,
    "h_swish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
}
"""activations.h of AlexeyAB's Darknet, one number at a time."""
