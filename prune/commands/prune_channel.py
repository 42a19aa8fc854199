"""Prune channels of a network by the γ of its batch norms."""

from __future__ import annotations

import logging
from argparse import Namespace
from dataclasses import asdict, dataclass, replace

from prune.cli import Parser, add_options, parse_finite, require, take
from prune.cli.command import Command
from prune.cli.pruning import Pair, PlanArgs, chosen_plan, close_pruning, open_pruning, pruning_parser
from prune.cli.sweep import parse_sweep, run_sweep
from prune.errors import PlanError
from prune.graph.channels import ChannelGraph, trace_groups
from prune.graph.scope import Scope
from prune.plan.channel import ChannelPolicy, plan_channels, shares, threshold_of
from prune.plan.readiness import assess
from prune.plan.types import PrunePlan
from prune.settings import option
from prune.surgery.apply import apply

EXAMPLE = "python prune_channel.py --cfg net.cfg --weights sparse.weights --data my.data --percent 0.8 --out runs/cut"


AUTO = "auto"
logger = logging.getLogger(__name__)


def parse_percent(text: str) -> float | str:
    """A number, or `auto`."""
    return text if text == AUTO else parse_finite(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelArgs:
    """The flags of this command besides its policy and scope; `percent` is the policy's, or AUTO."""

    percent: float | str = option(
        0.8,
        "the share of channels to cut, in [0, 1); auto: of the gammas those below the gap that python -m "
        "prune.readiness finds",
        flags=("--global-percent",),
        metavar="X",
        parse=parse_percent,
    )
    sweep: tuple[float, ...] | None = option(
        None, "with --data: evaluate each percent, write nothing", parse=parse_sweep, metavar="A:B:STEP"
    )


def make_parser() -> Parser:
    text = "Prune channels of a network by the γ of its batch norms."
    parser = pruning_parser(text, EXAMPLE, ChannelPolicy, omit=("percent",))
    add_options(parser, ChannelArgs)
    return parser


def main() -> int:
    namespace = make_parser().parse_args()
    scope, args = take(namespace, Scope), take(namespace, ChannelArgs)
    policy = asked_policy(namespace, args)
    pair, command = open_pruning(namespace, writes=args.sweep is None and not namespace.dry_run)
    graph = trace_groups(pair.netdef, scope)
    if args.sweep is not None:
        run_sweep(pair, graph, policy, args.sweep, command)
        return 0
    automatic = args.percent == AUTO and take(namespace, PlanArgs).plan is None
    if automatic:
        policy = replace(policy, percent=safe_percent(pair, graph, command))
    plan = chosen_plan(namespace, pair, graph, "channels", lambda: made_plan(pair, graph, policy, automatic))
    asked = float(plan.policy.get("percent", 0.0))
    share, threshold = shares(graph, plan, asked), threshold_of(graph, pair.weights, asked)
    command.echo(
        f"requested {asked:.1%} ({plan.policy.get('rule')}, |γ| ≤ {threshold:.4g}); pruned: "
        f"{share.of_prunable:.1%} of the prunable channels, {share.of_all:.1%} of all with batch norm"
    )
    facts = {"threshold": threshold, "share": asdict(share), "percent": asked, "auto": bool(plan.policy.get(AUTO))}
    pruned = apply(pair.netdef, pair.weights, plan)
    if namespace.dry_run:
        command.echo(plan.describe(graph))
        command.finish(facts)
        return 0
    close_pruning(pair, pruned, plan, command, facts)
    return 0


def asked_policy(namespace: Namespace, args: ChannelArgs) -> ChannelPolicy:
    """The policy of the flags; percent is still 0 under --percent auto. Raises UsageError for flags that exclude
    it."""
    if args.percent != AUTO:
        return take(namespace, ChannelPolicy)
    policy = take(namespace, ChannelPolicy, percent=0.0)
    require(args.sweep is None, "--percent auto finds one percent, --sweep tries several: choose one of them")
    require(policy.rule == "threshold", "--percent auto is a share of the gammas: it needs --rule threshold")
    return policy


def safe_percent(pair: Pair, graph: ChannelGraph, command: Command) -> float:
    """The percent that lies in the valley of the γ, with what follows from it shown. Raises PlanError where
    there is no valley."""
    readiness = assess(graph, pair.weights)
    if not readiness.separated:
        raise PlanError(f"--percent auto: {readiness.advice()}")
    line = f"--percent auto takes {readiness.percent:.4g}: {readiness.advice()}"
    if readiness.ready:
        command.echo(line)
    else:
        logger.warning("%s", line)
    return readiness.percent


def made_plan(pair: Pair, graph: ChannelGraph, policy: ChannelPolicy, automatic: bool) -> PrunePlan:
    """The plan of a policy; it notes whether its percent was found automatically."""
    plan = plan_channels(graph, pair.weights, policy)
    return replace(plan, policy={**plan.policy, AUTO: True}) if automatic else plan
