"""Which channels are cut: by a global threshold on |γ|, or as an exact share of the channels."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np

from prune.darknet.records import Weights
from prune.errors import UsageError
from prune.graph.channels import ChannelGraph
from prune.plan.budget import CHANNELS, Budget, all_kept, normalised_ids
from prune.plan.criteria import Importance
from prune.plan.ranked import Ranked, masks_of, rank_channels, smallest_reaching
from prune.plan.score import Scores, gammas, prunable_ids
from prune.plan.types import ChannelMask, PrunePlan, digest
from prune.plan.widths import Widths

RULES = ("threshold", "share")
Rule = Literal["threshold", "share"]


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
    widths: Widths | None = None,
) -> PrunePlan:
    """A plan that cuts the least important channels by `policy`; rule `share` cuts a share of `budget`.

    The same input gives the same plan; a higher percent cuts more. Raises PlanError where nothing can be cut.
    """
    widths = widths or Widths(layer_keep=policy.layer_keep)
    masks = choose_channels(graph, importance(graph, weights), policy, budget, widths)
    facts = {"kind": "channels", **asdict(policy), "tie": graph.scope.tie, **widths.facts()}
    plan = PrunePlan(digest(graph.netdef, weights), masks, (), facts, scope=graph.scope)
    plan.validate(graph)
    return plan


def choose_channels(
    graph: ChannelGraph,
    values: Scores,
    policy: ChannelPolicy,
    budget: Budget = CHANNELS,
    widths: Widths | None = None,
) -> tuple[ChannelMask, ...]:
    """A mask for every group that can be cut, from the importance of each channel: values (ids,).

    `widths` (default: the policy's floor) only ever adds to what is kept, except where its bounds force a cut. Raises
    PlanError where nothing can be cut, or where a channel that can be cut has no finite value.
    """
    ranked = rank_channels(graph, values, widths or Widths(layer_keep=policy.layer_keep))
    threshold = int(policy.percent * ranked.count)
    if policy.rule == "share":
        threshold = _threshold_of_share(ranked, policy, budget)
    return masks_of(ranked.masks(threshold))


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


def _threshold_of_share(ranked: Ranked, policy: ChannelPolicy, budget: Budget) -> int:
    """The lowest rank threshold under which the asked share of the budget is cut, before widths are rounded up."""
    whole = budget.cost(ranked.graph, all_kept(ranked.graph))
    exact = ranked.with_widths(replace(ranked.widths, multiple_of=1))
    wanted = math.floor(policy.percent * whole)
    return smallest_reaching(
        lambda threshold: whole - budget.cost(ranked.graph, exact.kept(exact.masks(threshold))) >= wanted, ranked.count
    )
