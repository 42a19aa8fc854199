"""Where Darknet places the windows of a pooling layer: the first starts at −padding//2."""

from __future__ import annotations

from typing import NamedTuple

from prune.darknet.layers import LocalAvgpool, Maxpool

Pool = Maxpool | LocalAvgpool


class Margins(NamedTuple):
    """Pixels that the windows cover outside a map: `before` (above it and to the left), `below` and to the `right`.

    `below` and `right` are negative where the last pixels of the map are in no window.
    """

    before: int
    below: int
    right: int


def margins(layer: Pool, height: int, width: int) -> Margins:
    """The margins on a map of height × width pixels."""
    below, right = _after(height, layer, layer.stride_y), _after(width, layer, layer.stride_x)
    return Margins(layer.padding // 2, below, right)


def _after(length: int, layer: Pool, stride: int) -> int:
    outputs = (length + layer.padding - layer.size) // stride + 1
    return (outputs - 1) * stride + layer.size - length - layer.padding // 2
