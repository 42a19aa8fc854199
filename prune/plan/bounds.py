"""Least and most shares of the channels that are kept of single layers: a text file, one rule per line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from prune.darknet.cfg import shown
from prune.darknet.layers import Convolutional
from prune.errors import FileError
from prune.files.reading import read_text
from prune.graph.channels import ChannelGraph
from prune.graph.scope import parse_ranges

_FORM = "write LAYERS LEAST MOST, such as 17-20 0.5 1.0"


@dataclass(frozen=True, slots=True)
class Bound:
    """The shares of a layer's channels that are kept at least and at most, in [0, 1], and the line that says so."""

    least: float
    most: float
    line: int = 0

    def counts(self, width: int) -> tuple[int, int]:
        """The least and the most of `width` channels; equal shares that fall between two counts give the larger."""
        least = int(np.ceil(round(self.least * width, 6)))
        return max(1, least), max(1, least, int(round(self.most * width, 6)))


def read_bounds(path: Path | str, graph: ChannelGraph) -> dict[int, Bound]:
    """The bounds of a file by layer index. Raises FileError naming the line of what `parse_bounds` refuses."""
    return parse_bounds(read_text(path), path, graph)


def parse_bounds(text: str, path: Path | str, graph: ChannelGraph) -> dict[int, Bound]:
    """`LAYERS LEAST MOST` per line, `#` begins a comment; layers as in `3,17-20`, of ranges those that can be pruned.

    Raises FileError with the line of anything else, a layer that is unknown, not a convolution, frozen or bounded
    already, and of bounds that contradict those of a layer it is tied to.
    """
    found = dict[int, Bound]()
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        content = line.partition("#")[0].split()
        if not content:
            continue
        bound = _bound(content, path, number)
        for index in _layers(content[0], path, number, graph):
            if index in found:
                raise FileError(path, number, f"layer {index} has bounds already, in line {found[index].line}")
            found[index] = bound
    _check_tied(found, path, graph)
    return found


def _bound(content: list[str], path: Path | str, number: int) -> Bound:
    try:
        _, least, most = content
        bound = Bound(float(least), float(most), number)
    except ValueError as cause:
        raise FileError(path, number, f"{shown(' '.join(content))}: {_FORM}") from cause
    if not (0 <= bound.least <= 1 and 0 <= bound.most <= 1):
        raise FileError(path, number, f"{shown(' '.join(content[1:]))}: shares must be within [0, 1]")
    if bound.least > bound.most:
        raise FileError(path, number, f"the least share, {bound.least:g}, is larger than the most, {bound.most:g}")
    return bound


def _layers(text: str, path: Path | str, number: int, graph: ChannelGraph) -> Iterator[int]:
    """The layers that a rule is about. Of a range those that can be pruned, one of them at least."""
    try:
        ranges = parse_ranges(text)
    except ValueError as cause:
        raise FileError(path, number, str(cause)) from cause
    for layers in ranges:
        obstacles = {index: _obstacle(index, graph) for index in layers}
        usable = [index for index, obstacle in obstacles.items() if obstacle is None]
        if layers[-1] >= len(graph.netdef.layers) or not usable:
            raise FileError(path, number, f"layer {layers[-1]} {_obstacle(layers[-1], graph)}")
        yield from usable


def _obstacle(index: int, graph: ChannelGraph) -> str | None:
    """Why the layer cannot have bounds, or None."""
    last = len(graph.netdef.layers) - 1
    if index > last:
        return f"does not exist: {graph.netdef.path} has the layers 0 to {last}"
    if not isinstance(graph.netdef.layers[index], Convolutional):
        return "is not a convolution"
    frozen = graph.group(index).frozen
    return None if frozen is None else f"cannot be pruned: {frozen}"


def _check_tied(bounds: Mapping[int, Bound], path: Path | str, graph: ChannelGraph) -> None:
    """Raises FileError where two layers that are made of the same channels cannot keep one count."""
    for group in graph.prunable():
        for first, second in combinations([index for index in group.producers if index in bounds], 2):
            slots, others = (np.unique(group.members[index]) for index in (first, second))
            if not np.array_equal(slots, others):
                continue
            (least, most), (other_least, other_most) = (bounds[i].counts(len(slots)) for i in (first, second))
            if least > other_most or other_least > most:
                line, other = sorted((bounds[first].line, bounds[second].line))
                words = f"layers {first} and {second} are pruned together, but line {line} and this one"
                raise FileError(path, other, f"{words} leave no common number of channels")
