"""Remove the least important residual blocks of a network."""

from __future__ import annotations

from collections.abc import Sequence

from prune.cli import Parser, take
from prune.cli.pruning import chosen_plan, close_pruning, open_pruning, pruning_parser
from prune.graph.channels import trace_groups
from prune.graph.scope import Scope
from prune.plan.layer import LayerPolicy, RankedBlock, plan_layers, rank_blocks
from prune.plan.types import blocks_at
from prune.report.tables import format_table
from prune.surgery.apply import apply

EXAMPLE = "python prune_layer.py --cfg runs/a/pruned.cfg --weights runs/a/pruned.weights --shortcuts 4 --out runs/b"


def make_parser() -> Parser:
    return pruning_parser(
        "Remove the residual blocks whose last convolutions have the smallest mean |γ|.",
        EXAMPLE,
        LayerPolicy,
        omit=("tie", "protect"),
    )


def main() -> int:
    namespace = make_parser().parse_args()
    policy = take(namespace, LayerPolicy)
    pair, command = open_pruning(namespace, writes=not namespace.dry_run)
    graph = trace_groups(pair.netdef, take(namespace, Scope))
    plan = chosen_plan(namespace, pair, graph, "layers", lambda: plan_layers(graph, pair.weights, policy))
    command.echo(format_ranking(rank_blocks(graph, pair.weights), plan.removed))
    pruned = apply(pair.netdef, pair.weights, plan)
    gone = {index for block in blocks_at(pair.netdef, plan.removed) for index in block.layers}
    facts = {"removed_layers": sorted(gone)}
    if namespace.dry_run:
        command.finish(facts)
        return 0
    close_pruning(pair, pruned, plan, command, facts)
    return 0


def format_ranking(ranked: Sequence[RankedBlock], removed: Sequence[int]) -> str:
    """The removable blocks, the least important first, and which of them are removed."""
    rows = [
        [shortcut, f"{block.body[0]}-{shortcut}", score, "yes" if shortcut in removed else ""]
        for block, score, shortcut in ((entry.block, entry.score, entry.block.shortcut) for entry in ranked)
    ]
    return format_table(["shortcut", "layers", "mean |γ|", "removed"], rows)
