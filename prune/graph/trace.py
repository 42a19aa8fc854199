"""Following channels through a network: which ids each layer outputs, and what ties them.

Every convolution creates one id per output channel; the image's channels come first.
Layers pass ids on, concatenate, slice or tie them; what can only be cut together or in equal
counts is recorded on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from prune.darknet.activations import MIXING
from prune.darknet.layers import (
    IMAGE,
    Convolutional,
    Gate,
    Head,
    Layer,
    Maxpool,
    Reorg,
    Route,
    Shortcut,
    Softmax,
    Upsample,
)
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import shapes
from prune.darknet.walk import Channelwise, Domain, walk

Ids = NDArray[np.int64]


TieKind = Literal["add", "chain", "fold"]


@dataclass(frozen=True, slots=True)
class Tie:
    """Two id arrays of equal length that must be cut alike, because of `layer`.

    kind: "add" (a shortcut's sum), "chain" (one is computed from the other alone, or multiplies it: depthwise
    convolutions and gates), "fold" (one output channel is made of both).
    """

    layer: int
    kind: TieKind
    first: Ids
    second: Ids


@dataclass(frozen=True, slots=True)
class EqualParts:
    """Arrays of ids of which equal counts must be kept, because of `layer`."""

    layer: int
    parts: tuple[Ids, ...]


@dataclass(frozen=True, slots=True)
class Frozen:
    """Ids that cannot be cut, and why."""

    ids: Ids
    reason: str


@dataclass(frozen=True, slots=True)
class ChannelSpaces:
    """The channels of a network: which ids each layer writes and reads, and what ties or freezes them.

    `starts` maps each producing convolution (IMAGE: the image) to its first id, of `total`. `outputs` contains each
    layer's ids in channel order, `reads` those of each layer's first input.
    """

    starts: Mapping[int, int]
    total: int
    outputs: tuple[Ids, ...]
    reads: tuple[Ids, ...]
    ties: tuple[Tie, ...]
    equal: tuple[EqualParts, ...]
    heads: tuple[tuple[int, Ids], ...]
    upsamples: tuple[tuple[int, Ids], ...]
    frozen: tuple[Frozen, ...]

    def ids_of(self, producer: int, width: int) -> Ids:
        """The ids of a producer's channels."""
        return np.arange(self.starts[producer], self.starts[producer] + width)


class _Tracing(Domain[Ids]):
    def __init__(self, netdef: NetDef) -> None:
        self.starts, self.total = {IMAGE: 0}, netdef.net.channels
        for layer in netdef.convolutions:
            self.starts[layer.index] = self.total
            self.total += layer.filters
        self.whole_image = np.arange(netdef.net.channels)
        self.ties: list[Tie] = []
        self.equal: list[EqualParts] = []
        self.heads: list[tuple[int, Ids]] = []
        self.upsamples: list[tuple[int, Ids]] = []
        self.frozen: list[Frozen] = []

    def image(self) -> Ids:
        return self.whole_image

    def convolution(self, layer: Convolutional, x: Ids) -> Ids:
        own = np.arange(self.starts[layer.index], self.starts[layer.index] + layer.filters)
        if layer.activation in MIXING:
            self._freeze(own, f"layer {layer.index} divides by a sum over its channels ({layer.activation})")
        if is_depthwise(layer, len(x)):
            repeated = np.repeat(x, layer.filters // len(x))
            self.ties.append(Tie(layer.index, "chain", repeated, own))
        elif layer.groups > 1:
            self._equal_parts(layer.index, x, layer.groups)
            self._equal_parts(layer.index, own, layer.groups)
        return own

    def shortcut(self, layer: Shortcut, inputs: Sequence[Ids]) -> Ids:
        first = inputs[0]
        for other in inputs[1:]:
            common = min(len(first), len(other))
            self.ties.append(Tie(layer.index, "add", first[:common], other[:common]))
        return first

    def route(self, layer: Route, inputs: Sequence[Ids]) -> Ids:
        if layer.groups == 1:
            return np.concatenate(inputs)
        parts = [self._equal_parts(layer.index, x, layer.groups)[layer.group_id] for x in inputs]
        return np.concatenate(parts)

    def gate(self, layer: Gate, before: Ids, source: Ids) -> Ids:
        if layer.scale_wh:
            self._freeze(before, f"is the gate of all channels at layer {layer.index}")
        else:
            self.ties.append(Tie(layer.index, "chain", before, source))
        return source

    def reorg(self, layer: Reorg, x: Ids) -> Ids:
        cells = layer.stride**2
        if layer.reverse:
            return self._folded(layer, x, len(x) // cells)
        if layer.kind == "reorg":  # its outputs mix the inputs of a run: these share a slot
            self._folded(layer, x.reshape(-1, cells).T.ravel(), len(x) // cells)
        return np.tile(x, cells)

    def channelwise(self, layer: Channelwise, x: Ids) -> Ids:
        match layer:
            case Upsample():
                self.upsamples.append((layer.index, x))
            case Maxpool() if layer.depth:
                return self._folded(layer, x, layer.depth)
            case Softmax():
                self._freeze(x, f"feeds the softmax at layer {layer.index}")
        return x

    def head(self, layer: Head, x: Ids) -> Ids:
        self.heads.append((layer.index, x))
        return x

    def _freeze(self, ids: Ids, reason: str) -> None:
        self.frozen.append(Frozen(ids, reason))

    def _folded(self, layer: Layer, ids: Ids, width: int) -> Ids:
        """Ties each id to the one `width` before it; returns the first `width`."""
        if len(ids) > width:
            self.ties.append(Tie(layer.index, "fold", ids[:-width], ids[width:]))
        return ids[:width]

    def _equal_parts(self, layer: int, ids: Ids, count: int) -> list[Ids]:
        parts = list(np.split(ids, count))
        self.equal.append(EqualParts(layer, tuple(parts)))
        return parts


def trace_channels(netdef: NetDef) -> ChannelSpaces:
    """Walks the network once. Raises CfgError where layers do not fit each other."""
    shapes(netdef)  # refuses a network that is too large, before anything is allocated for its channels
    tracing = _Tracing(netdef)
    outputs = tuple(walk(netdef, tracing))
    sources = (layer.inputs[0] for layer in netdef.layers)
    return ChannelSpaces(
        tracing.starts,
        tracing.total,
        outputs,
        tuple(tracing.whole_image if source == IMAGE else outputs[source] for source in sources),
        tuple(tracing.ties),
        tuple(tracing.equal),
        tuple(tracing.heads),
        tuple(tracing.upsamples),
        tuple(tracing.frozen),
    )


def is_depthwise(layer: Convolutional, in_channels: int) -> bool:
    """True where each input channel has its own filters: cutting it cuts them."""
    return layer.groups > 1 and layer.groups == in_channels


def tied_slots(trace: ChannelSpaces, kinds: Collection[TieKind] = get_args(TieKind)) -> Ids:
    """For every id the smallest id it must be cut with: connected components of the ties of some kinds."""
    labels = np.arange(trace.total)
    ties = [tie for tie in trace.ties if tie.kind in kinds]
    if not ties:
        return labels
    first = np.concatenate([tie.first for tie in ties])
    second = np.concatenate([tie.second for tie in ties])
    while True:
        before = labels.copy()
        low = np.minimum(labels[first], labels[second])
        np.minimum.at(labels, labels[first], low)
        np.minimum.at(labels, labels[second], low)
        labels = labels[labels]
        if np.array_equal(before, labels):
            return labels


def linked_ids(trace: ChannelSpaces) -> Iterator[Ids]:
    """Arrays of ids whose producers belong to one group: tied ones, and those that share a constraint."""
    for tie in trace.ties:
        yield np.concatenate([tie.first, tie.second])
    for equal in trace.equal:
        yield np.concatenate(equal.parts)
