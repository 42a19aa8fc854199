"""The parameters of a convolution as they are written: with its batch norm folded into it, or beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from prune.darknet.layers import Convolutional
from prune.darknet.records import BATCH_NORM_EPSILON, ConvParams, Floats

_NORMAL = ("gamma", "bias", "mean", "var")
"""The parameters of a batch norm, in the order in which its operator reads them."""


def stored(record: ConvParams, fold: bool) -> Mapping[str, Floats]:
    """The tensors of a convolution by name, in float32: weight and bias, or without `fold` weight and those of
    `_NORMAL`."""
    if record.gamma is None:
        return {"weight": _floats(record.weight), "bias": _floats(record.bias)}
    return folded(record) if fold else {name: _floats(getattr(record, name)) for name in ("weight", *_NORMAL)}


def folded(record: ConvParams) -> Mapping[str, Floats]:
    """weight and bias of a convolution that computes the same without batch norm: in float64, rounded once."""
    gamma, mean, var = (array.astype(np.float64) for array in record.normal())
    factor = gamma / np.sqrt(var + BATCH_NORM_EPSILON)
    weight = (record.weight * factor[:, None, None, None]).astype(np.float32)
    return {"weight": weight, "bias": (record.bias - mean * factor).astype(np.float32)}


def attributes(layer: Convolutional, kernel: tuple[int, int]) -> Mapping[str, Any]:
    """The attributes of the operator Conv; `kernel`: height and width."""
    return {
        "kernel_shape": kernel,
        "strides": (layer.stride_y, layer.stride_x),
        "pads": (layer.pad,) * 4,
        "dilations": (layer.dilation,) * 2,
        "group": layer.groups,
    }


def _floats(array: Floats) -> Floats:
    return array.astype(np.float32, copy=False)
