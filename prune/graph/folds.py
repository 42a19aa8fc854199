"""Layers that make one channel from several: maxpool over depth, and Darknet's old reorg."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def folded(x: NDArray[Number], width: int, fill: float) -> NDArray[Number]:
    """x (C,) as rows of `width` → (rows, width): column g holds channels g, g + width, …, the last row filled up."""
    rows = -(-len(x) // width)
    padded = np.full(rows * width, fill, x.dtype)
    padded[: len(x)] = x
    return padded.reshape(rows, width)


def pixel_sources(stride: int, height: int, width: int) -> NDArray[np.int64]:
    """Where the pixels of Darknet's old `reorg` come from; its input maps have height × width pixels.

    (n, n, P), n = stride²: the input within a run of n channels, for each of the P pixels of output channel r of
    block o, which is channel n·(o·runs + k) + r for run k. Source: `reorg_cpu` of Darknet, which sees a run as one
    map of (stride·height) × (stride·width), and what it writes as n maps of height × width.
    """
    maps = stride**2
    sources = np.repeat(np.arange(maps), height * width).reshape(stride * height, stride * width)
    blocks = [sources[row::stride, column::stride] for row in range(stride) for column in range(stride)]
    return np.stack(blocks).reshape(maps, maps, -1)
