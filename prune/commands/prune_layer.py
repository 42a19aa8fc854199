"""Remove the least important residual blocks of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prune.cli import Later, Parser, take
from prune.cli.pruning import Pair, chosen_plan, close_pruning, open_pruning, pruning_parser
from prune.cli.targets import TargetArgs, format_reach, report_targets, settle_defaults
from prune.graph.channels import ChannelGraph, trace_groups
from prune.graph.scope import Scope
from prune.plan.fit import block_reach, plan_blocks_to_targets
from prune.plan.layer import LayerPolicy, RankedBlock, plan_layers, rank_blocks
from prune.plan.target import settle_targets
from prune.plan.types import PrunePlan, blocks_at
from prune.report.tables import format_table
from prune.surgery.apply import apply

EXAMPLE = "python prune_layer.py --cfg runs/a/pruned.cfg --weights runs/a/pruned.weights --shortcuts 4 --out runs/b"
DEFAULTS = {"shortcuts": 1}


def make_parser() -> Parser:
    return pruning_parser(
        "Remove the residual blocks whose last convolutions have the smallest mean |γ|.",
        EXAMPLE,
        LayerPolicy,
        omit=("tie", "protect"),
        defaults={"shortcuts": Later("1; none with a target")},
    )


def main() -> int:
    namespace = make_parser().parse_args()
    asked = take(namespace, TargetArgs)
    settle_defaults(namespace, asked.amounts(), DEFAULTS, others=["plan"])
    policy = None if asked.amounts() else take(namespace, LayerPolicy)
    pair, command = open_pruning(namespace, writes=not namespace.dry_run)
    graph = trace_groups(pair.netdef, take(namespace, Scope))
    plan = chosen_plan(namespace, pair, graph, "layers", lambda: made_plan(pair, graph, asked, policy))
    ranked = rank_blocks(graph, pair.weights)
    command.echo(format_ranking(ranked, plan.removed))
    pruned = apply(pair.netdef, pair.weights, plan)
    gone = {index for block in blocks_at(pair.netdef, plan.removed) for index in block.layers}
    facts: dict[str, Any] = {"removed_layers": sorted(gone)}
    if "targets" in plan.policy:
        table, found = report_targets(plan, graph, pair.settings.img_size)
        command.echo(table)
        facts |= found
    if namespace.dry_run:
        command.echo(format_reach(block_reach(graph, [entry.block for entry in ranked], pair.settings.img_size)))
        command.finish(facts)
        return 0
    close_pruning(pair, pruned, plan, command, facts)
    return 0


def made_plan(pair: Pair, graph: ChannelGraph, asked: TargetArgs, policy: LayerPolicy | None) -> PrunePlan:
    """The plan of a policy, or without one of the targets."""
    if policy is not None:
        return plan_layers(graph, pair.weights, policy)
    return plan_blocks_to_targets(graph, pair.weights, settle_targets(graph, asked.amounts(), pair.settings.img_size))


def format_ranking(ranked: Sequence[RankedBlock], removed: Sequence[int]) -> str:
    """The removable blocks, the least important first, and which of them are removed."""
    rows = [
        [shortcut, f"{block.body[0]}-{shortcut}", score, "yes" if shortcut in removed else ""]
        for block, score, shortcut in ((entry.block, entry.score, entry.block.shortcut) for entry in ranked)
    ]
    return format_table(["shortcut", "layers", "mean |γ|", "removed"], rows)
