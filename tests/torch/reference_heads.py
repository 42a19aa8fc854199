"""How Darknet decodes the numbers of `[region]` and `[Gaussian_yolo]` heads, box by box."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tests.torch.reference_activations import SCALARS, softmax

Array = NDArray[np.float64]
_logistic = SCALARS["logistic"]


def decode_region(raw: Array, anchors: Sequence[tuple[float, float]], classes: int, softmax_: bool) -> Array:
    """get_region_boxes: (A, H, W, 5 + C) of cxcywh in fractions of the image, objectness, class scores."""

    def box(v: Array, a: int, i: int, j: int, height: int, width: int) -> list[float]:
        return _region_box(v, anchors[a], i, j, height, width, softmax_)

    return _decoded(raw, len(anchors), classes, box)


def _region_box(
    v: Array, anchor: tuple[float, float], i: int, j: int, height: int, width: int, softmax_: bool
) -> list[float]:
    scores = softmax(v[5:]) if softmax_ else v[5:]
    box = [(j + _logistic(v[0])) / width, (i + _logistic(v[1])) / height]
    box += [math.exp(v[2]) * anchor[0] / width, math.exp(v[3]) * anchor[1] / height]
    return [*box, _logistic(v[4]), *scores]


def decode_gaussian(
    raw: Array, anchors: Sequence[tuple[float, float]], classes: int, scale: float, net_wh: tuple[int, int]
) -> Array:
    """get_gaussian_yolo_detections: (A, H, W, 5 + C); objectness is multiplied by 1 − the mean uncertainty."""

    def box(v: Array, a: int, i: int, j: int, height: int, width: int) -> list[float]:
        x, y = (_logistic(v[n]) * scale - 0.5 * (scale - 1) for n in (0, 2))
        doubt = sum(_logistic(v[n]) for n in (1, 3, 5, 7)) / 4
        sizes = [math.exp(v[4 + 2 * n]) * anchors[a][n] / net_wh[n] for n in (0, 1)]
        return [(j + x) / width, (i + y) / height, *sizes, _logistic(v[8]) * (1 - doubt), *map(_logistic, v[9:])]

    return _decoded(raw, len(anchors), classes, box)


def _decoded(raw: Array, boxes: int, classes: int, box: Callable[..., list[float]]) -> Array:
    height, width = raw.shape[1:]
    values = raw.reshape(boxes, -1, height, width)
    out = np.zeros((boxes, height, width, 5 + classes))
    for a, i, j in product(range(boxes), range(height), range(width)):
        out[a, i, j] = box(values[a, :, i, j], a, i, j, height, width)
    return out
