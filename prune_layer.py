"""Remove the least important residual blocks of a network."""

from __future__ import annotations

from prune.cli import run_command, take
from prune.cli.pruning import chosen_plan, close_pruning, open_pruning, pruning_parser
from prune.graph.channels import trace_groups
from prune.plan.layer import LayerPolicy, plan_layers, rank_blocks
from prune.plan.types import block_at
from prune.report.tables import format_table
from prune.surgery.apply import apply

EXAMPLE = "python prune_layer.py --cfg runs/a/pruned.cfg --weights runs/a/pruned.weights --shortcuts 4 --out runs/b"


def main() -> int:
    parser = pruning_parser(
        "Remove the residual blocks whose last convolutions have the smallest mean |γ|.", EXAMPLE, LayerPolicy
    )
    namespace = parser.parse_args()
    policy = take(namespace, LayerPolicy)
    pair, command = open_pruning(namespace, writes=not namespace.dry_run)
    graph = trace_groups(pair.netdef)
    plan = chosen_plan(namespace) or plan_layers(graph, pair.weights, policy)
    ranked = rank_blocks(graph, pair.weights)
    rows = [
        [
            entry.block.shortcut,
            f"{entry.block.body[0]}-{entry.block.shortcut}",
            entry.score,
            entry.block.shortcut in plan.removed,
        ]
        for entry in ranked
    ]
    command.echo(
        format_table(["shortcut", "layers", "mean |γ|", "goes"], [[*row[:3], "yes" if row[3] else ""] for row in rows])
    )
    pruned = apply(pair.netdef, pair.weights, plan)
    if namespace.dry_run:
        return 0
    gone = [index for shortcut in plan.removed for index in block_at(pair.netdef, shortcut).layers]
    close_pruning(pair, pruned, plan, command, {"removed_layers": sorted(set(gone))})
    return 0


if __name__ == "__main__":
    run_command(main)
