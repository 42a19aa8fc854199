"""How important each slot of a prune group is: |γ| combined along the network.

Where tensors add up (shortcut) the channel lives while any addend does: the largest score counts.
Along a chain (depthwise convolution, gate) it is dead as soon as one member is: the smallest counts.
The peers' union of the masks |γ| > t over a shortcut group is max |γ| > t.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import Convolutional, Gate, Maxpool, Reorg, Route, Shortcut
from prune.darknet.records import Weights
from prune.darknet.walk import Channelwise, Domain, walk
from prune.errors import PlanError
from prune.graph.channels import ChannelGraph, PruneGroup
from prune.graph.folds import folded
from prune.graph.trace import Ids, is_depthwise

Scores = NDArray[np.float64]


class ScoreWalk(Domain[Scores]):
    """Scores of each layer's channels. NaN: no member with a γ so far.

    `values` contains one score per channel id; `read` gathers, per id, the largest score under which a
    convolution reads it: infinite where no γ contributes to what it reads, which cannot be dead then.
    """

    def __init__(self, graph: ChannelGraph, values: Scores, tie: str) -> None:
        self.graph, self.values, self.tie = graph, values, tie
        self.read = np.full(graph.trace.total, np.nan)

    def image(self) -> Scores:
        return np.full(self.graph.netdef.net.channels, np.nan)

    def convolution(self, layer: Convolutional, x: Scores) -> Scores:
        own = self.values[self.graph.trace.ids_of(layer.index, layer.filters)]
        if is_depthwise(layer, len(x)):
            return np.fmin(np.repeat(x, layer.filters // len(x)), own)
        np.fmax.at(self.read, self.graph.trace.reads[layer.index], np.where(np.isnan(x), np.inf, x))
        return own

    def shortcut(self, layer: Shortcut, inputs: Sequence[Scores]) -> Scores:
        total = inputs[0].copy()
        for other in inputs[1:]:
            common = min(len(total), len(other))
            combined = other[:common] if self.tie == "first" else np.fmax(total[:common], other[:common])
            total[:common] = combined
        return total

    def route(self, layer: Route, inputs: Sequence[Scores]) -> Scores:
        return np.concatenate([np.split(x, layer.groups)[layer.group_id] for x in inputs])

    def gate(self, layer: Gate, before: Scores, source: Scores) -> Scores:
        return source if layer.scale_wh else np.fmin(before, source)

    def reorg(self, layer: Reorg, x: Scores) -> Scores:
        cells = layer.stride**2
        if layer.reverse:
            return _largest(x, len(x) // cells)
        if layer.kind == "reorg":
            x = np.repeat(np.fmax.reduce(x.reshape(-1, cells), axis=1), cells)
        return np.tile(x, cells)

    def channelwise(self, layer: Channelwise, x: Scores) -> Scores:
        return _largest(x, layer.depth) if isinstance(layer, Maxpool) and layer.depth else x


def _largest(x: Scores, width: int) -> Scores:
    """The largest of the scores g, g + width, … for each g < width."""
    return np.asarray(np.fmax.reduce(folded(x, width, np.nan), axis=0))


def gammas(graph: ChannelGraph, weights: Weights) -> Scores:
    """|γ| per channel id; NaN where the convolution has no batch norm. Raises PlanError on a non-finite γ."""
    values = np.full(graph.trace.total, np.nan)
    for index in graph.cbl:
        gamma = weights.conv(graph.netdef.convolution(index).owner).gamma
        assert gamma is not None
        if not np.isfinite(gamma).all():
            raise PlanError(f"{graph.netdef.path}: layer {index} has a γ that is not finite; the training diverged")
        values[graph.trace.ids_of(index, len(gamma))] = np.abs(gamma)
    return values


def prunable_ids(graph: ChannelGraph) -> Ids:
    """The ids of all channels with a γ in groups that can be cut, ordered by (group, slot, layer)."""
    found = [graph.trace.ids_of(index, graph.netdef.convolution(index).filters) for index in graph.prunable_layers]
    ids = np.concatenate(found or [np.zeros(0, np.int64)])
    return ids[np.lexsort((ids, graph.slot_of[ids], graph.group_of[ids]))]


def slot_scores(graph: ChannelGraph, values: Scores) -> Mapping[int, Scores]:
    """Group id → score per slot (width,), for the groups that can be cut; tied layers as the graph's scope says."""
    domain = ScoreWalk(graph, values, graph.scope.tie)
    walk(graph.netdef, domain)
    return {group.id: _of_group(graph, values, domain.read, group) for group in graph.prunable()}


def block_scores(graph: ChannelGraph, weights: Weights) -> list[float]:
    """For every layer the mean score of its output; NaN where no γ contributes to it."""
    outputs = walk(graph.netdef, ScoreWalk(graph, gammas(graph, weights), "union"))
    return [float(np.nanmean(x)) if np.isfinite(x).any() else float("nan") for x in outputs]


def _of_group(graph: ChannelGraph, values: Scores, read: Scores, group: PruneGroup) -> Scores:
    """The largest score under which a slot is read; where nothing reads it, its largest γ."""
    ids = np.flatnonzero(graph.group_of == group.id)
    scores, own = np.full(group.width, np.nan), np.full(group.width, np.nan)
    np.fmax.at(scores, graph.slot_of[ids], read[ids])
    np.fmax.at(own, graph.slot_of[ids], values[ids])
    scores = np.where(np.isnan(scores), own, scores)
    return np.where(np.isnan(scores), np.inf, scores)
