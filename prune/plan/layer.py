"""Which residual blocks are removed: those whose bodies have the smallest mean |γ|."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean

from prune.darknet.records import Weights
from prune.errors import UsageError
from prune.graph.blocks import ResidualBlock, removable_blocks
from prune.graph.channels import ChannelGraph
from prune.plan.score import block_scores
from prune.plan.types import PrunePlan, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPolicy:
    """How many residual blocks are removed."""

    shortcuts: int = field(default=1, metadata={"help": "how many residual blocks to remove", "metavar": "N"})

    def __post_init__(self) -> None:
        if self.shortcuts < 0:
            raise UsageError(f"--shortcuts {self.shortcuts}: must not be negative")


@dataclass(frozen=True, slots=True)
class RankedBlock:
    """A removable block and the mean |γ| of what its body adds."""

    block: ResidualBlock
    score: float


def rank_blocks(graph: ChannelGraph, weights: Weights) -> list[RankedBlock]:
    """The removable blocks with a γ in their bodies' outputs, the least important first."""
    scores = block_scores(graph, weights)
    blocks = removable_blocks(graph.netdef, graph.scope)
    ranked = [RankedBlock(block, fmean(scores[index] for index in block.body_outputs)) for block in blocks]
    usable = [entry for entry in ranked if not math.isnan(entry.score)]
    return sorted(usable, key=lambda entry: (entry.score, entry.block.shortcut))


def plan_layers(graph: ChannelGraph, weights: Weights, policy: LayerPolicy) -> PrunePlan:
    """A plan that removes the `policy.shortcuts` least important blocks. Raises UsageError where there are fewer."""
    ranked = rank_blocks(graph, weights)
    if policy.shortcuts > len(ranked):
        kept = " with these --keep-layers" if graph.scope.keep else ""
        raise UsageError(
            f"--shortcuts {policy.shortcuts}: {graph.netdef.path} has {len(ranked)} removable residual blocks{kept}"
        )
    removed = tuple(sorted(entry.block.shortcut for entry in ranked[: policy.shortcuts]))
    facts = {"kind": "layers", "shortcuts": policy.shortcuts}
    return PrunePlan(digest(graph.netdef, weights), (), removed, facts, scope=graph.scope)
