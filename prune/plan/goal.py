"""What a network is to be cut to, checked against what its groups allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prune.errors import UsageError
from prune.graph.channels import ChannelGraph
from prune.plan.amount import Amount
from prune.plan.budget import Budget
from prune.plan.channel import ChannelPolicy, choose_channels
from prune.plan.score import Scores
from prune.plan.types import ChannelMask

LAYER_KEEP = 0.05
"""Of each layer at least this share is kept: what is left of a narrower one carries too little."""
_ALL = 1 - 1e-9


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


def reachable_goal(graph: ChannelGraph, budget: Budget, amount: Amount, flag: str) -> Goal:
    """The goal that leaves `amount` of `budget`. Raises UsageError naming `flag` where the network is that small
    already, or where more than that has to be kept.
    """
    whole = budget.cost(graph, np.ones(graph.trace.total, bool))
    wanted, path = amount.of(whole), graph.netdef.path
    if wanted >= whole:
        raise UsageError(f"{flag} {amount}: {path} has {whole:,.10g} to begin with")
    most = Goal(share=_ALL, budget=budget)
    masks = most.choose(graph, np.zeros(graph.trace.total))
    least = budget.cost(graph, graph.kept_ids({mask.group: mask.keep for mask in masks}))
    if wanted < least:
        raise UsageError(
            f"{flag} {amount}: at least {least:,.10g} ({least / whole:.3f}x) of {path} is kept: layers that cannot be "
            f"pruned, and {LAYER_KEEP:.0%} of each other layer"
        )
    return Goal(share=1 - wanted / whole, budget=budget)
