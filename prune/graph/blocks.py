"""Residual blocks: bodies that a shortcut adds to a skip, and whether a cfg can express their removal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from prune.darknet.layers import IMAGE, Convolutional, Head, Route, Shortcut
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import shapes
from prune.graph.scope import Scope

MOST_INPUTS = 6
"""The most inputs of a shortcut that are tried as bodies in every combination; of more, one at a time is tried."""


@dataclass(frozen=True, slots=True)
class ResidualBlock:
    """`shortcut` = the sum of `skips` + what `body` computes from them, as layer indices.

    Attributes:
        shortcut: the layer that adds. Removed with the body, unless `shortcut_stays` or `replaced`.
        body: the layers between skips and shortcut, ascending; empty where there is no block.
        skips: the inputs of the shortcut that remain without the body; the first is as wide as its output.
        body_outputs: the layers of the body that the shortcut reads.
        last_convolutions: those whose outputs add up to the body's: where their γ are 0 the body is constant.
        reason: why the block cannot be removed, or None.
        replaced: the shortcut does more than add, so that a depthwise 1×1 convolution replaces it: its kernel is the
            factor of the skip (1 unless the shortcut is weighted), its activation that of the shortcut.
    """

    shortcut: int
    body: tuple[int, ...]
    skips: tuple[int, ...]
    body_outputs: tuple[int, ...]
    last_convolutions: tuple[int, ...]
    reason: str | None
    replaced: bool = False

    @property
    def skip(self) -> int:
        """The skip; the first where there are several."""
        return self.skips[0]

    @property
    def shortcut_stays(self) -> bool:
        """True where the shortcut is kept, with fewer inputs."""
        return len(self.skips) > 1

    @property
    def layers(self) -> tuple[int, ...]:
        """All layers that are removed with the block."""
        return self.body if self.shortcut_stays or self.replaced else (*self.body, self.shortcut)


def find_blocks(netdef: NetDef, scope: Scope | None = None) -> tuple[ResidualBlock, ...]:
    """The residual block of each shortcut, in cfg order: removable or not; without a body, why there is none.

    A block with a layer that `scope` keeps cannot be removed.
    """
    finder = _Finder(netdef, scope or Scope())
    return tuple(finder.block(layer) for layer in netdef.layers if isinstance(layer, Shortcut))


def removable_blocks(netdef: NetDef, scope: Scope | None = None) -> tuple[ResidualBlock, ...]:
    """The residual blocks whose removal the cfg can express, without those that `scope` keeps."""
    return tuple(block for block in find_blocks(netdef, scope) if block.reason is None)


class _Finder:
    def __init__(self, netdef: NetDef, scope: Scope) -> None:
        self.scope = scope
        self.netdef, self.readers, self.out = netdef, netdef.consumers(), shapes(netdef)
        self.sharing = [layer for layer in netdef.convolutions if layer.share is not None]

    def block(self, layer: Shortcut) -> ResidualBlock:
        """The block with as many inputs of the shortcut as possible in its body."""
        for body_outputs in _choices(layer):
            skips = tuple(source for source in layer.inputs if source not in body_outputs)
            body = self._between(body_outputs, skips)
            if not body or self._read_outside(body, layer.index):
                continue
            last, reason = self._contributors(body_outputs, body), self._obstacle(layer, skips, body)
            if last is None:
                reason = reason or f"its body passes the skip (layer {skips[0]}) on"
            skips = tuple(sorted(skips, key=lambda source: self.out[source] != self.out[layer.index]))
            replaced = len(skips) == 1 and (layer.activation != "linear" or layer.weights != "none")
            found = (tuple(sorted(body)), skips, body_outputs, tuple(sorted(last or ())))
            return ResidualBlock(layer.index, *found, reason, replaced)
        return ResidualBlock(layer.index, (), layer.inputs, (), (), self._why_none(layer))

    def _between(self, body_outputs: tuple[int, ...], skips: tuple[int, ...]) -> set[int]:
        """All layers that lead from the skips to the body's outputs; empty where anything else leads there too."""
        body, pending = set[int](), list(body_outputs)
        stops = {*skips, *map(self._origin, skips)}
        while pending:
            index = pending.pop()
            if index in body or index in stops:
                continue
            if index == IMAGE or isinstance(self.netdef.layers[index], Head):
                return set()
            body.add(index)
            pending.extend(self.netdef.layers[index].inputs)
        return body

    def _origin(self, index: int) -> int:
        """The layer that a route of a single whole layer repeats."""
        while isinstance(layer := self.netdef.layers[index], Route) and len(layer.inputs) == layer.groups == 1:
            index = layer.inputs[0]
        return index

    def _read_outside(self, body: set[int], shortcut: int) -> tuple[int, int] | None:
        """A layer of the body and a reader of it that is neither in the body nor the shortcut."""
        pairs = ((i, reader) for i in sorted(body) for reader in self.readers[i])
        return next((pair for pair in pairs if pair[1] not in body and pair[1] != shortcut), None)

    def _contributors(self, body_outputs: tuple[int, ...], body: set[int]) -> set[int] | None:
        """The convolutions whose outputs reach the body's without another convolution; None where a skip does too.

        Of `scale_channels` only the features are followed, not their gate.
        """
        pending, found = list(body_outputs), set[int]()
        while pending:
            index = pending.pop()
            if index not in body:
                return None
            layer = self.netdef.layers[index]
            if isinstance(layer, Convolutional):
                found.add(index)
            else:
                pending.extend(layer.inputs[1:] if layer.kind == "scale_channels" else layer.inputs)
        return found

    def _obstacle(self, layer: Shortcut, skips: tuple[int, ...], body: set[int]) -> str | None:
        if not self.readers[layer.index]:
            return "its shortcut is an output of the network"
        if all(self.out[source] != self.out[layer.index] for source in skips):
            return f"the skip (layer {skips[0]}) has another shape than the shortcut"
        if layer.weights != "none" and len(skips) > 1:
            return f"its shortcut multiplies the skips as well (weights_type={layer.weights})"
        for other in self.sharing:
            if other.share in body and other.index not in body:
                return f"layer {other.index} uses the floats of its layer {other.share} (share_index)"
        return self.scope.kept((*sorted(body), layer.index))

    def _why_none(self, layer: Shortcut) -> str:
        for end in dict.fromkeys(layer.inputs):
            skips = tuple(source for source in layer.inputs if source != end)
            if skips and (pair := self._read_outside(self._between((end,), skips), layer.index)):
                return f"layer {pair[0]} of its body is also read by layer {pair[1]}"
        return "none of its inputs is computed from the others alone"


def _choices(layer: Shortcut) -> Iterator[tuple[int, ...]]:
    """Which inputs of a shortcut may be outputs of the body: as many as possible, the layer before first."""
    inputs = list(dict.fromkeys(layer.inputs))
    largest = len(inputs) - 1 if len(inputs) <= MOST_INPUTS else 1
    for count in range(largest, 0, -1):
        yield from combinations(inputs, count)
