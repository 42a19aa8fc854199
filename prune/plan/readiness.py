"""Whether a network is ready to be cut by its γ: how far the γ that are nearly 0 stand apart from the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.darknet.records import Weights
from prune.errors import PlanError
from prune.graph.channels import ChannelGraph
from prune.graph.cost import kept_costs
from prune.graph.trace import Ids
from prune.plan.score import Scores, gammas, prunable_ids, slot_scores
from prune.plan.valley import Valley, find_valley

THRESHOLDS = (0.001, 0.01, 0.1)
HARMLESS = 0.01
"""A cut is safe where no layer loses more than this share of what it reads."""
NEARLY_EMPTY = 0.95
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LayerReadiness:
    """One layer: how many `channels`, the share of its γ `below` each of THRESHOLDS, the share that a cut in the valley
    takes, and `lost`: the share of what it reads that goes (0 … 1)."""

    layer: int
    channels: int
    below: Mapping[float, float]
    cut: float
    lost: float


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a cut in the `valley` of the scores would do.

    percent: the share of the prunable γ below it, what `prune_channel.py --percent auto` takes. share: of the prunable
    channels that are really cut. parameters: the share of the network's parameters that goes with them.
    """

    valley: Valley
    percent: float
    share: float
    parameters: float
    layers: tuple[LayerReadiness, ...]

    @property
    def separated(self) -> bool:
        """Whether the γ fall into two sets."""
        return self.valley.separated and self.percent > 0

    @property
    def emptiest(self) -> LayerReadiness:
        """The layer that a cut in the valley takes the largest share of."""
        return max(self.layers, key=lambda layer: (layer.cut, -layer.layer))

    @property
    def most_lost(self) -> LayerReadiness:
        """The layer that loses the largest share of what it reads."""
        return max(self.layers, key=lambda layer: (layer.lost, -layer.layer))

    @property
    def ready(self) -> bool:
        """Whether the cut is safe: separated, and no layer loses much of what it reads."""
        return self.separated and self.most_lost.lost <= HARMLESS

    def advice(self) -> str:
        """What to do, in a sentence."""
        if not self.separated:
            return (
                f"not separated: no gap between small and large gammas, {self.valley.inside:.1%} lie within a "
                "factor of 3 around the emptiest place; train on, raise s, or use --s auto"
            )
        cut = f"{self.percent:.1%} of the channels ({self.parameters:.1%} of the parameters)"
        if not self.ready:
            worst = self.most_lost
            return f"not safe to cut {cut}: layer {worst.layer} would lose {worst.lost:.1%} of what it reads; train on"
        full = self.emptiest
        note = f"; layer {full.layer} keeps {1 - full.cut:.1%} of its channels" if full.cut > NEARLY_EMPTY else ""
        return f"safe to cut {cut}: no layer loses more than {self.most_lost.lost:.2%} of what it reads{note}"


def assess(graph: ChannelGraph, weights: Weights) -> Readiness:
    """The readiness of a network for a cut by |γ|. Raises PlanError where no channel can be pruned, or a γ is not
    finite.
    """
    values, ids = gammas(graph, weights), prunable_ids(graph)
    if not len(ids):
        raise PlanError(f"{graph.netdef.path}: no channel can be pruned; python -m prune.explain says why")
    scores = slot_scores(graph, values)
    counted = {
        group.id: np.bincount(graph.slot_of[ids[graph.group_of[ids] == group.id]], minlength=group.width)
        for group in graph.prunable()
    }
    flat, counts = (np.concatenate([found[group.id] for group in graph.prunable()]) for found in (scores, counted))
    valley = find_valley(flat, counts)
    kept = graph.kept_ids(
        {group.id: _kept(scores[group.id], group.parts, valley.threshold) for group in graph.prunable()}
    )
    whole = sum(cost.parameters for cost in kept_costs(graph, np.ones(graph.trace.total, bool)))
    left = sum(cost.parameters for cost in kept_costs(graph, kept))
    return Readiness(
        valley,
        float((values[ids] < valley.threshold).mean()),
        float((~kept[ids]).mean()),
        1 - left / whole,
        tuple(_layers(graph, weights, values, kept)),
    )


def _kept(scores: Scores, parts: tuple[Ids, ...], threshold: float) -> Flags:
    """Slots at or above the threshold, and of each part at least the best."""
    keep = scores >= threshold
    for part in parts:
        keep[part[np.argmax(scores[part])]] = True
    return keep


def _layers(graph: ChannelGraph, weights: Weights, values: Scores, kept: Flags) -> Iterator[LayerReadiness]:
    size = np.where(np.isnan(values), 0.0, values)
    for index in graph.prunable_layers:
        own = graph.trace.outputs[index]
        below = {threshold: float((values[own] < threshold).mean()) for threshold in THRESHOLDS}
        yield LayerReadiness(
            index, len(own), below, float((~kept[own]).mean()), _lost(graph, weights, index, size, kept)
        )


def _lost(graph: ChannelGraph, weights: Weights, index: int, size: Scores, kept: Flags) -> float:
    """The share of the variance of what a convolution reads that comes from cut channels: Σ (γ·‖kernel‖)² of those over
    that of all, as batch norm gives each channel the standard deviation |γ|."""
    kernel = weights.conv(graph.netdef.convolution(index).owner).weight.astype(np.float64)
    groups = graph.netdef.convolution(index).groups
    norms = (kernel**2).reshape(groups, -1, *kernel.shape[1:]).sum(axis=(1, 3, 4)).ravel()
    read = graph.trace.reads[index]
    strength = norms * size[read] ** 2
    total = float(strength.sum())
    return float(strength[~kept[read]].sum()) / total if total > 0 else 0.0
