"""What a network is to be cut to, checked against what its groups allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prune.errors import UsageError
from prune.graph.channels import ChannelGraph
from prune.plan.amount import Amount
from prune.plan.budget import Budget, all_kept
from prune.plan.channel import ChannelPolicy, choose_channels
from prune.plan.ranked import rank_channels
from prune.plan.score import Scores
from prune.plan.types import ChannelMask
from prune.plan.widths import Widths

LAYER_KEEP = 0.05
"""Of each layer at least this share is kept: what is left of a narrower one carries too little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """How much is to go: the share of `budget`, in (0, 1); of each layer at least `layer_keep` is kept."""

    share: float
    budget: Budget
    layer_keep: float = LAYER_KEEP

    def choose(self, graph: ChannelGraph, values: Scores, part: float = 1.0) -> tuple[ChannelMask, ...]:
        """The masks that cut the channels of least `values` (ids,), as many as `part` of the goal takes."""
        policy = ChannelPolicy(percent=self.share * part, rule="share", layer_keep=self.layer_keep)
        return choose_channels(graph, values, policy, self.budget)


def reachable_goal(graph: ChannelGraph, budget: Budget, amount: Amount, flag: str, unit: float = 1.0) -> Goal:
    """The goal that leaves `amount` of `budget`, in units of so many of the budget's. Raises UsageError naming `flag`
    where the network is that small already, or where more than that has to be kept.
    """
    whole = budget.cost(graph, all_kept(graph))
    wanted, path = amount.of(whole / unit) * unit, graph.netdef.path
    if wanted >= whole:
        raise UsageError(f"{flag} {amount}: {path} has {whole / unit:,.10g} to begin with")
    ranked = rank_channels(graph, np.zeros(graph.trace.total), Widths(layer_keep=LAYER_KEEP))
    least = budget.cost(graph, ranked.kept(ranked.masks(ranked.count)))
    if wanted < least:
        raise UsageError(
            f"{flag} {amount}: at least {least / unit:,.10g} ({least / whole:.3f}x) of {path} is kept: layers that "
            f"cannot be pruned, and {LAYER_KEEP:.0%} of each other layer"
        )
    return Goal(share=1 - wanted / whole, budget=budget)
