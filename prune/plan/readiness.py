"""Whether a network is ready to be cut by its γ: how far the γ that are nearly 0 stand apart from the others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.darknet.records import Weights
from prune.darknet.walk import walk
from prune.errors import PlanError
from prune.graph.channels import ChannelGraph
from prune.plan.budget import BUDGETS, Budget
from prune.plan.channel import ChannelPolicy, choose_channels
from prune.plan.goal import Goal
from prune.plan.score import Scores, gammas, prunable_ids, slot_scores
from prune.plan.spread import SpreadWalk, kernel_powers
from prune.plan.valley import EMPTY, WIDTH, Valley, find_valley

THRESHOLDS = (0.001, 0.01, 0.1)
HARMLESS = 0.01
"""A cut is safe where no layer loses more than this share of what it reads."""
NEARLY_EMPTY = 0.95
TOLERANCE = 0.05
"""A goal is met from this much under it."""
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LayerReadiness:
    """One convolution: how many `channels`, the share of its γ `below` each of THRESHOLDS (empty: it has none), the
    share that a cut in the valley takes, and `lost`: the share of what it reads that goes (0 … 1)."""

    layer: int
    channels: int
    below: Mapping[float, float]
    cut: float
    lost: float


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a cut in the `valley` of the scores would do.

    percent: the share of the prunable γ below it, what `prune_channel.py --percent auto` takes. share: of the prunable
    channels that are really cut. parameters: the share of the network's parameters that goes with them. smallest,
    largest: of the prunable γ. layers: all convolutions. asked, reached: the share of a goal's budget that was to go,
    and that goes; None without a goal.
    """

    valley: Valley
    percent: float
    share: float
    parameters: float
    smallest: float
    largest: float
    layers: tuple[LayerReadiness, ...]
    asked: float | None = None
    reached: float | None = None

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
    def safe(self) -> bool:
        """Whether the cut is safe: separated, and no layer loses much of what it reads."""
        return self.separated and self.most_lost.lost <= HARMLESS

    @property
    def met(self) -> bool:
        """Whether as much goes as was asked for, if anything was."""
        return self.asked is None or self.reached is None or self.reached >= self.asked - TOLERANCE

    @property
    def ready(self) -> bool:
        """Whether the cut is safe and takes what was asked for."""
        return self.safe and self.met

    def advice(self) -> str:
        """What to do, in a sentence."""
        if not self.separated:
            return self._why_not()
        cut = f"{self.share:.1%} of the channels ({self.parameters:.1%} of the parameters)"
        if not self.safe:
            worst = self.most_lost
            return f"not safe to cut {cut}: layer {worst.layer} would lose {worst.lost:.1%} of what it reads; train on"
        full, notes = self.emptiest, ""
        if not self.met:
            notes += f"; but {self.asked:.1%} was to go and {self.reached:.1%} does: train longer, or ask for less"
        if full.cut > NEARLY_EMPTY:
            notes += f"; layer {full.layer} keeps {1 - full.cut:.1%} of its channels"
        if self.percent - self.share > EMPTY:
            notes += f"; {self.percent:.1%} of the gammas are small, but some are tied to large ones"
        return f"safe to cut {cut}: no layer loses more than {self.most_lost.lost:.2%} of what it reads{notes}"

    def _why_not(self) -> str:
        if not self.largest:
            return "nothing to cut by: every gamma is 0, so the network computes nothing; train again with a smaller s"
        if not self.valley.percent:
            return (
                f"nothing to cut: no gamma is nearly 0, the smallest is {self.smallest:.3g} and the largest "
                f"{self.largest:.3g}; train sparsely first, or raise s"
            )
        return (
            f"not separated: no gap between small and large gammas, {self.valley.inside:.1%} lie within a "
            f"factor of {WIDTH:g} around the emptiest place, {self.valley.threshold:.3g}; train on, raise s, or use "
            "--s auto"
        )


def assess(graph: ChannelGraph, weights: Weights, goal: Goal | None = None) -> Readiness:
    """The readiness of a network for a cut by |γ|, and whether that meets `goal`. Raises PlanError where no channel can
    be pruned, or a γ is not finite.
    """
    ids = prunable_ids(graph)
    if not len(ids):
        raise PlanError(f"{graph.netdef.path}: no channel can be pruned; python -m prune.explain says why")
    values = prunable_gammas(graph, weights)
    scores = slot_scores(graph, values)
    counted = {
        group.id: np.bincount(graph.slot_of[ids[graph.group_of[ids] == group.id]], minlength=group.width)
        for group in graph.prunable()
    }
    flat, counts = (np.concatenate([found[group.id] for group in graph.prunable()]) for found in (scores, counted))
    valley = find_valley(flat, counts)
    own = values[ids]
    percent = exact_percent(int((own < valley.threshold).sum()), len(ids))
    masks = choose_channels(graph, values, ChannelPolicy(percent=percent, layer_keep=0.0))
    kept = graph.kept_ids({mask.group: mask.keep for mask in masks})
    return Readiness(
        valley,
        percent,
        float((~kept[ids]).mean()),
        cut_share(graph, BUDGETS["parameters"], kept),
        float(own.min()),
        float(own.max()),
        tuple(_layers(graph, weights, values, kept)),
        None if goal is None else goal.share,
        None if goal is None else cut_share(graph, goal.budget, kept),
    )


def cut_share(graph: ChannelGraph, budget: Budget, kept: Flags) -> float:
    """The share of a budget that goes with the channels that are not kept (ids,)."""
    return 1 - budget.cost(graph, kept) / budget.cost(graph, np.ones(graph.trace.total, bool))


def prunable_gammas(graph: ChannelGraph, weights: Weights) -> Scores:
    """|γ| per channel id; NaN where the channel cannot be cut. Raises PlanError on a non-finite γ."""
    values, ids = gammas(graph, weights), prunable_ids(graph)
    own = np.full(len(values), np.nan)
    own[ids] = values[ids]
    return own


def exact_percent(count: int, total: int) -> float:
    """The share count/total, rounded so that `int(share * total)` is `count`: a plan cuts to the channel."""
    share = count / total
    while int(share * total) < count:
        share = math.nextafter(share, 1.0)
    return share


def _layers(graph: ChannelGraph, weights: Weights, values: Scores, kept: Flags) -> Iterator[LayerReadiness]:
    domain = SpreadWalk(weights, graph.netdef.net.channels)
    walk(graph.netdef, domain)
    prunable = set(graph.prunable_layers)
    for layer in graph.netdef.convolutions:
        own = graph.trace.outputs[layer.index]
        below = {threshold: float((values[own] < threshold).mean()) for threshold in THRESHOLDS}
        params = weights.conv(layer.owner)
        power = kernel_powers(params, layer.groups).reshape(layer.groups, layer.filters // layer.groups, -1).sum(axis=1)
        strength = power.ravel() * domain.read[layer.index]
        yield LayerReadiness(
            layer.index,
            len(own),
            below if layer.index in prunable else {},
            float((~kept[own]).mean()),
            _share(strength, ~kept[graph.trace.reads[layer.index]]),
        )


def _share(strength: Scores, cut: Flags) -> float:
    """The share of the variance of what a convolution reads that comes from cut channels."""
    total = float(strength.sum())
    return float(strength[cut].sum()) / total if total > 0 else 0.0
