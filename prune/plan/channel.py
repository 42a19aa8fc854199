"""Which channels go: a global threshold on |γ|, or an exact share of the channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prune.darknet.records import Weights
from prune.errors import PlanError, UsageError
from prune.graph.channels import ChannelGraph, PruneGroup
from prune.graph.trace import Ids
from prune.plan.score import Scores, gammas, prunable_ids, slot_scores
from prune.plan.types import ChannelMask, PrunePlan, digest

RULES = ("threshold", "share")
Rule = Literal["threshold", "share"]
Keep = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPolicy:
    """How channels are chosen.

    percent: the asked share, in [0, 1): of the prunable γ for rule `threshold` (the field's: masks per
    layer at one global threshold, then merged), of all CBL channels for rule `share` (the threshold is
    raised until the share is really gone). layer_keep: the share of each layer that stays at least.
    """

    percent: float = field(
        default=0.8,
        metadata={
            "flags": ("--global-percent",),
            "help": "the share of channels to cut, in [0, 1)",
            "metavar": "X",
        },
    )
    rule: Rule = field(
        default="threshold",
        metadata={
            "help": "threshold: one global threshold at --percent of all prunable gammas, masks of tied layers "
            "merged, so that less may go; share: cut until --percent of all channels is really gone"
        },
    )
    layer_keep: float = field(
        default=0.01, metadata={"help": "the share of each layer that stays at least", "metavar": "X"}
    )

    def __post_init__(self) -> None:
        if not 0 <= self.percent < 1:
            raise UsageError(f"--percent {self.percent:g}: must be in [0, 1)")
        if not 0 <= self.layer_keep <= 1:
            raise UsageError(f"--layer-keep {self.layer_keep:g}: must be in [0, 1]")
        if self.rule not in RULES:
            raise UsageError(f"--rule {self.rule}: choose one of {', '.join(RULES)}")


@dataclass(frozen=True, slots=True)
class Shares:
    """What a plan was asked for and what it does: cut channels, as shares of the CBL channels."""

    asked: float
    of_prunable: float
    of_all: float


def plan_channels(graph: ChannelGraph, weights: Weights, policy: ChannelPolicy) -> PrunePlan:
    """A plan that cuts channels by `policy`. The same input gives the same plan; a higher percent cuts more.

    Raises PlanError where nothing may be cut.
    """
    values = gammas(graph, weights)
    ranks = _ranks(values, prunable_ids(graph))
    if not np.isfinite(ranks).any():
        raise PlanError(f"{graph.netdef.path}: no channel may be cut; python -m prune.explain says why")
    scores = slot_scores(graph, ranks)
    chosen = _by_threshold if policy.rule == "threshold" else _by_share
    keep = chosen(graph, scores, ranks, policy)
    masks = tuple(ChannelMask(group.id, keep[group.id]) for group in graph.prunable())
    facts = {"kind": "channels", **asdict(policy), "tie": graph.scope.tie}
    plan = PrunePlan(digest(graph.netdef, weights), masks, (), facts, scope=graph.scope)
    plan.validate(graph)
    return plan


def threshold_of(graph: ChannelGraph, weights: Weights, percent: float) -> float:
    """The |γ| at `percent` of all prunable γ, sorted."""
    values = np.sort(gammas(graph, weights)[prunable_ids(graph)])
    return float(values[min(int(percent * len(values)), len(values) - 1)])


def shares(graph: ChannelGraph, plan: PrunePlan, asked: float) -> Shares:
    """The asked and the real share of a plan."""
    cut = ~graph.kept_ids(plan.keep())
    with_gamma = np.zeros(graph.trace.total, bool)
    for index in graph.cbl:
        with_gamma[graph.trace.born(index, graph.netdef.convolution(index).filters)] = True
    count = int((cut & with_gamma).sum())
    return Shares(asked, count / max(1, len(prunable_ids(graph))), count / max(1, int(with_gamma.sum())))


def _ranks(values: Scores, ids: Ids) -> Scores:
    """Each prunable channel's place in the order of |γ|, equal ones by (group, slot, layer); else NaN.

    Places instead of values make every threshold exact and every tie broken the same way.
    """
    ranks = np.full(len(values), np.nan)
    ranks[ids[np.argsort(values[ids], kind="stable")]] = np.arange(len(ids))
    return ranks


def _by_threshold(
    graph: ChannelGraph, scores: Mapping[int, Scores], ranks: Scores, policy: ChannelPolicy
) -> dict[int, Keep]:
    threshold = int(policy.percent * np.isfinite(ranks).sum())
    return {group.id: _repaired(group, scores[group.id], threshold, policy) for group in graph.prunable()}


def _by_share(
    graph: ChannelGraph, scores: Mapping[int, Scores], ranks: Scores, policy: ChannelPolicy
) -> dict[int, Keep]:
    """The lowest rank threshold under which the asked share of all CBL channels is gone."""
    wanted = math.floor(policy.percent * graph.channels(graph.cbl))
    members = {group.id: _members_per_slot(graph, group) for group in graph.prunable()}

    def keep_at(threshold: int) -> dict[int, Keep]:
        return {group.id: _repaired(group, scores[group.id], threshold, policy) for group in graph.prunable()}

    def gone_at(threshold: int) -> int:
        return sum(int(members[group][~keep].sum()) for group, keep in keep_at(threshold).items())

    return keep_at(_first_reaching(gone_at, wanted, int(np.isfinite(ranks).sum())))


def _first_reaching(count: Callable[[int], int], wanted: int, high: int) -> int:
    """The smallest argument in [0, high] at which the growing `count` reaches `wanted`, else high."""
    low = 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if count(middle) >= wanted else (middle + 1, high)
    return low


def _members_per_slot(graph: ChannelGraph, group: PruneGroup) -> Ids:
    """How many CBL channels go with each slot."""
    counts = np.zeros(group.width, np.int64)
    for producer, slots in group.members.items():
        if graph.netdef.convolution(producer).batch_normalize:
            np.add.at(counts, slots, 1)
    return counts


def _repaired(group: PruneGroup, scores: Scores, threshold: int, policy: ChannelPolicy) -> Keep:
    """keep = score ≥ threshold, plus the best of each part up to its floor, plus equal counts where needed."""
    keep = scores >= threshold
    for part in group.parts:
        floor = max(1, math.ceil(policy.layer_keep * len(np.unique(part))))
        keep[_best(part, scores, floor)] = True
    for parts in group.equal:
        most = max(int(keep[part].sum()) for part in parts)
        for part in parts:
            missing = most - int(keep[part].sum())
            keep[_best(part[~keep[part]], scores, missing)] = True
    return keep


def _best(slots: Ids, scores: Scores, count: int) -> Ids:
    """The `count` best-scored of some slots, equal ones by slot, descending."""
    unique = np.unique(slots)
    return unique[np.lexsort((unique, scores[unique]))[::-1][:count]]
