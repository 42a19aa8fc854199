"""(NetDef, Weights, PrunePlan) → the pruned pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.darknet.netdef import NetDef
from prune.darknet.records import Weights
from prune.graph.blocks import ResidualBlock
from prune.graph.channels import EVERYTHING, ChannelGraph, trace_groups
from prune.plan.types import PrunePlan, blocks_at
from prune.surgery.absorb import absorb_constants
from prune.surgery.constant import Constant
from prune.surgery.losses import Loss
from prune.surgery.rewrite import rewrite
from prune.surgery.slice import slice_layer


@dataclass(frozen=True, slots=True)
class Masked:
    """The original network as the plan sees it: original shapes, constants absorbed, channels marked.

    kept (ids,) bool over the channel ids of `graph`; `blocks` are those to remove. `original`: the weights before
    anything was absorbed; `constants`: what was removed from each layer's output; `losses`: where that is not exact.
    """

    graph: ChannelGraph
    original: Weights
    weights: Weights
    kept: NDArray[np.bool_]
    blocks: tuple[ResidualBlock, ...]
    constants: tuple[Constant, ...]
    losses: tuple[Loss, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """The pruned pair, the masked original it must equal, and notes on what could not be kept exact.

    `index_map` maps the old index of each kept layer to its new one.
    """

    netdef: NetDef
    weights: Weights
    index_map: dict[int, int]
    masked: Masked
    notes: tuple[str, ...]


def apply(netdef: NetDef, weights: Weights, plan: PrunePlan, path: str | None = None) -> Pruned:
    """Carries out a plan; `path` names the pruned cfg in its error messages.

    Raises PlanError where the plan was made for another pair, or does not fit.
    """
    return to_darknet(mask(netdef, weights, plan), path)


def mask(netdef: NetDef, weights: Weights, plan: PrunePlan) -> Masked:
    """What is kept and what is absorbed, in the original shapes. No cfg is written here.

    Raises PlanError where the plan was made for another pair, or does not fit.
    """
    plan.check_source(netdef, weights)
    graph = trace_groups(netdef, plan.scope or EVERYTHING)
    plan.validate(graph)
    kept = graph.kept_ids(plan.keep())
    blocks = blocks_at(netdef, plan.removed)
    absorbed = absorb_constants(graph, weights, kept, blocks)
    return Masked(graph, weights, absorbed.weights, kept, blocks, absorbed.constants, absorbed.losses)


def to_darknet(masked: Masked, path: str | None = None) -> Pruned:
    """The masked network as a smaller cfg and its weights; `path` names the cfg in its error messages."""
    graph = masked.graph
    rewritten = rewrite(graph, masked.kept, masked.blocks, path or graph.netdef.path)
    sliced = {
        rewritten.index_map[layer.index]: slice_layer(graph, layer, masked.weights, masked.kept)
        for layer in graph.netdef.layers
        if layer.index in rewritten.index_map
    }
    records = {index: record for index, record in sliced.items() if record is not None}
    pruned = Weights(masked.weights.header, records)
    notes = tuple(str(loss) for loss in masked.losses)
    return Pruned(rewritten.netdef, pruned, rewritten.index_map, masked, notes)
