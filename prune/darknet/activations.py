"""Darknet's activations on numpy arrays: what a constant becomes on its way through a layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "relu": lambda x: np.maximum(x, 0.0),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "logistic": logistic,
    "tanh": np.tanh,
    "mish": lambda x: x * np.tanh(np.logaddexp(0.0, x)),
    "swish": lambda x: x * logistic(x),
    "hard_mish": _hard_mish,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "loggy": lambda x: 2.0 * logistic(x) - 1.0,
}
"""Name in the cfg → function, elementwise on float64 arrays of any shape."""
