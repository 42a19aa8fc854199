"""Which channels are cut: by a global threshold on |γ|, or as an exact share of the channels."""

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
from prune.plan.budget import CHANNELS, Budget, normalised_ids
from prune.plan.criteria import Importance
from prune.plan.score import Scores, gammas, prunable_ids, slot_scores
from prune.plan.types import ChannelMask, PrunePlan, digest

RULES = ("threshold", "share")
Rule = Literal["threshold", "share"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPolicy:
    """How channels are chosen.

    percent: the asked share, in [0, 1): of the prunable γ for rule `threshold` (the usual rule of Network Slimming:
    masks per layer at one global threshold, then merged), of the budget, by default all CBL channels, for rule `share`
    (the threshold is raised until the share is actually cut). layer_keep: minimum fraction of channels kept per layer.
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
            "merged, so that fewer may be cut; share: cut until --percent of all channels is actually removed"
        },
    )
    layer_keep: float = field(
        default=0.01, metadata={"help": "minimum fraction of channels kept per layer", "metavar": "X"}
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


def plan_channels(
    graph: ChannelGraph,
    weights: Weights,
    policy: ChannelPolicy,
    importance: Importance = gammas,
    budget: Budget = CHANNELS,
) -> PrunePlan:
    """A plan that cuts the least important channels by `policy`; rule `share` cuts a share of `budget`.

    The same input gives the same plan; a higher percent cuts more. Raises PlanError where nothing can be cut.
    """
    masks = choose_channels(graph, importance(graph, weights), policy, budget)
    facts = {"kind": "channels", **asdict(policy), "tie": graph.scope.tie}
    plan = PrunePlan(digest(graph.netdef, weights), masks, (), facts, scope=graph.scope)
    plan.validate(graph)
    return plan


def choose_channels(
    graph: ChannelGraph, values: Scores, policy: ChannelPolicy, budget: Budget = CHANNELS
) -> tuple[ChannelMask, ...]:
    """A mask for every group that can be cut, from the importance of each channel: values (ids,).

    Raises PlanError where nothing can be cut, or where a channel that can be cut has no finite value.
    """
    ids = prunable_ids(graph)
    if not len(ids):
        raise PlanError(f"{graph.netdef.path}: no channel can be cut; python -m prune.explain shows why")
    if values.shape != (graph.trace.total,) or not np.isfinite(values[ids]).all():
        raise PlanError(f"{graph.netdef.path}: each channel that can be cut needs a finite importance")
    ranks = _ranks(values, ids)
    scores = slot_scores(graph, ranks)
    threshold = int(policy.percent * len(ids))
    if policy.rule == "share":
        threshold = _threshold_of_share(graph, scores, len(ids), policy, budget)
    keep = _keep_at(graph, scores, threshold, policy)
    return tuple(ChannelMask(group, mask) for group, mask in keep.items())


def threshold_of(graph: ChannelGraph, weights: Weights, percent: float) -> float:
    """The |γ| at `percent` of all prunable γ, sorted."""
    values = np.sort(gammas(graph, weights)[prunable_ids(graph)])
    return float(values[min(int(percent * len(values)), len(values) - 1)])


def shares(graph: ChannelGraph, plan: PrunePlan, asked: float) -> Shares:
    """The asked and the real share of a plan."""
    cut = ~graph.kept_ids(plan.keep())
    with_gamma = normalised_ids(graph)
    count = int((cut & with_gamma).sum())
    return Shares(asked, count / max(1, len(prunable_ids(graph))), count / max(1, int(with_gamma.sum())))


def _ranks(values: Scores, ids: Ids) -> Scores:
    """Each prunable channel's rank by |γ|, equal ones by (group, slot, layer); else NaN.

    Ranks instead of values make every threshold exact and break every tie the same way.
    """
    ranks = np.full(len(values), np.nan)
    ranks[ids[np.argsort(values[ids], kind="stable")]] = np.arange(len(ids))
    return ranks


def _keep_at(
    graph: ChannelGraph, scores: Mapping[int, Scores], threshold: int, policy: ChannelPolicy
) -> dict[int, Mask]:
    return {group.id: _with_floors(group, scores[group.id], threshold, policy) for group in graph.prunable()}


def _threshold_of_share(
    graph: ChannelGraph, scores: Mapping[int, Scores], most: int, policy: ChannelPolicy, budget: Budget
) -> int:
    """The lowest rank threshold, at most `most`, under which the asked share of the budget is cut."""
    whole = budget.cost(graph, np.ones(graph.trace.total, bool))

    def cut_at(threshold: int) -> float:
        return whole - budget.cost(graph, graph.kept_ids(_keep_at(graph, scores, threshold, policy)))

    return _smallest_reaching(cut_at, math.floor(policy.percent * whole), most)


def _smallest_reaching(count: Callable[[int], float], wanted: int, high: int) -> int:
    """The smallest argument in [0, high] at which the growing `count` reaches `wanted`, else high."""
    low = 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if count(middle) >= wanted else (middle + 1, high)
    return low


def _with_floors(group: PruneGroup, scores: Scores, threshold: int, policy: ChannelPolicy) -> Mask:
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
