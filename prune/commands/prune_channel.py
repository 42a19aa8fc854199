"""Prune channels of a network by the γ of its batch norms."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from prune.cli import Parser, add_options, take
from prune.cli.pruning import chosen_plan, close_pruning, open_pruning, pruning_parser
from prune.cli.sweep import parse_sweep, run_sweep
from prune.graph.channels import trace_groups
from prune.graph.scope import Scope
from prune.plan.channel import ChannelPolicy, plan_channels, shares, threshold_of
from prune.settings import option
from prune.surgery.apply import apply

EXAMPLE = "python prune_channel.py --cfg net.cfg --weights sparse.weights --data my.data --percent 0.8 --out runs/cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelArgs:
    """The flags of this command besides its policy and scope."""

    sweep: tuple[float, ...] | None = option(
        None, "with --data: evaluate each percent, write nothing", parse=parse_sweep, metavar="A:B:STEP"
    )


def make_parser() -> Parser:
    parser = pruning_parser("Prune channels of a network by the γ of its batch norms.", EXAMPLE, ChannelPolicy)
    add_options(parser, ChannelArgs)
    return parser


def main() -> int:
    namespace = make_parser().parse_args()
    policy, scope, args = take(namespace, ChannelPolicy), take(namespace, Scope), take(namespace, ChannelArgs)
    pair, command = open_pruning(namespace, writes=args.sweep is None and not namespace.dry_run)
    graph = trace_groups(pair.netdef, scope)
    if args.sweep is not None:
        run_sweep(pair, graph, policy, args.sweep, command)
        return 0
    plan = chosen_plan(namespace, pair, graph, "channels", lambda: plan_channels(graph, pair.weights, policy))
    asked = float(plan.policy.get("percent", 0.0))
    share, threshold = shares(graph, plan, asked), threshold_of(graph, pair.weights, asked)
    command.echo(
        f"requested {asked:.1%} ({plan.policy.get('rule')}, |γ| ≤ {threshold:.4g}); pruned: "
        f"{share.of_prunable:.1%} of the prunable channels, {share.of_all:.1%} of all with batch norm"
    )
    facts = {"threshold": threshold, "share": asdict(share)}
    pruned = apply(pair.netdef, pair.weights, plan)
    if namespace.dry_run:
        command.echo(plan.describe(graph))
        command.finish(facts)
        return 0
    close_pruning(pair, pruned, plan, command, facts)
    return 0
