"""Maps of the absorption oracle, and the layers that mix the channels or pixels of a single one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import LocalAvgpool, Maxpool, Reorg

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


class NotConstantError(Exception):
    """A channel that should be dead is not: absorption cannot be exact for this network."""


@dataclass(frozen=True)
class Maps:
    """values (C, H, W); border (C,): what a convolution pads each channel with; dead (C,) bool."""

    values: Array
    border: Array
    dead: Flags


def largest(depth: int, x: Maps) -> Maps:
    """The maximum over every `depth`-th channel; a border passes where all have the same."""
    chosen = [slice(g, None, depth) for g in range(depth)]
    values = np.stack([x.values[part].max(axis=0) for part in chosen])
    dead = np.array([x.dead[part].all() for part in chosen])
    border = np.array([x.border[part].max() for part in chosen])
    if any(not d and np.ptp(x.border[part]) for d, part in zip(dead, chosen, strict=True)):
        raise NotConstantError
    return Maps(values, border, dead)


def reordered(layer: Reorg, x: Maps) -> Maps:
    """Darknet's reorg_cpu, pixel by pixel; a border passes where all pixels of an output have the same."""
    s, (channels, height, width) = layer.stride, x.values.shape
    shape = (channels // s**2, height * s, width * s) if layer.reverse else (channels * s**2, height // s, width // s)
    c, h, w = shape if layer.kind == "reorg3d" else x.values.shape
    small, large = np.zeros(c * h * w, int), np.arange(c * h * w)  # positions in (c, h, w) and in (c/s², s·h, s·w)
    for position in large:
        k, (j, i) = position // (h * w), divmod(position % (h * w), w)
        offset, c2 = divmod(k, c // s**2)
        small[position] = i * s + offset % s + w * s * (j * s + offset // s + h * s * c2)
    order = np.empty_like(small)
    if layer.reverse:
        order[small] = large
    else:
        order = small
    values, of = x.values.reshape(-1)[order].reshape(shape), (order // (height * width)).reshape(shape[0], -1)
    dead, border = x.dead[of], x.border[of]
    if np.ptp(border, axis=1).any() or (dead.any(axis=1) != dead.all(axis=1)).any():
        raise NotConstantError
    return Maps(values, border[:, 0], dead[:, 0])


def pooled(layer: Maxpool | LocalAvgpool, x: Array, pool: Callable[..., Array]) -> Array:
    """`pool` over the pixels of each window that lie within the map."""
    before, (height, width) = layer.padding // 2, x.shape[1:]
    rows = (height + layer.padding - layer.size) // layer.stride_y + 1
    columns = (width + layer.padding - layer.size) // layer.stride_x + 1
    out = np.full((len(x), rows, columns), -np.inf)
    for row in range(rows):
        for column in range(columns):
            top, left = row * layer.stride_y - before, column * layer.stride_x - before
            window = x[:, max(top, 0) : top + layer.size, max(left, 0) : left + layer.size]
            out[:, row, column] = pool(window, axis=(1, 2))
    return out


def activated(name: str, x: Array) -> Array:
    """Written from the definitions, not taken from the code under test."""
    y: Array = _ACTIVATIONS[name](x)
    return y


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "leaky": lambda x: np.maximum(x, 0.1 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "elu": lambda x: np.where(x >= 0, x, np.exp(np.minimum(x, 0)) - 1),
    "selu": lambda x: 1.0507 * np.where(x >= 0, x, 1.6732 * (np.exp(np.minimum(x, 0)) - 1)),
    "hard_mish": lambda x: np.select([x > 0, x > -2], [x, x * (x + 2) / 2], 0),
    "h_swish": lambda x: np.select([x > 3, x > -3], [x, x * (x + 3) / 6], 0),
    "revleaky": lambda x: np.maximum(x, 0.1 * x),
    "relie": lambda x: np.maximum(x, 0.01 * x),
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "hardtan": lambda x: np.minimum(np.maximum(x, -1), 1),
    "lhtan": lambda x: np.select([x < 0, x > 1], [0.001 * x, 0.001 * (x - 1) + 1], x),
    "plse": lambda x: np.select([x < -4, x > 4], [0.01 * (x + 4), 0.01 * (x - 4) + 1], 0.125 * x + 0.5),
    "stair": lambda x: np.where(np.floor(x) % 2 == 0, np.floor(x / 2), x - np.floor(x) + np.floor(x / 2)),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3)),
    "loggy": lambda x: 2 / (1 + np.exp(-x)) - 1,
    "normalize_channels": lambda x: np.maximum(x, 0) / (np.maximum(x, 0).sum(axis=0) + 1e-4),
    "normalize_channels_softmax": lambda x: np.exp(x) / (np.exp(x).sum(axis=0) + 1e-4),
    "normalize_channels_softmax_maxval": lambda x: (
        np.exp(x - x.max(axis=0)) / (np.exp(x - x.max(axis=0)).sum(axis=0) + 1e-4)
    ),
}
