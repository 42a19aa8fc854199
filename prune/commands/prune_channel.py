"""Prune channels of a network by the γ of its batch norms."""

from __future__ import annotations

import logging
from argparse import Namespace
from dataclasses import asdict, dataclass, replace
from typing import Any

from prune.cli import Later, Parser, add_options, parse_finite, require, take
from prune.cli.command import Command
from prune.cli.pruning import Pair, PlanArgs, chosen_plan, close_pruning, open_pruning, pruning_parser
from prune.cli.sweep import parse_sweep, run_sweep
from prune.cli.targets import TargetArgs, WidthArgs, format_reach, report_targets, settle_defaults
from prune.errors import PlanError
from prune.graph.channels import ChannelGraph, trace_groups
from prune.graph.scope import Scope
from prune.plan.channel import ChannelPolicy, plan_channels, shares, threshold_of
from prune.plan.fit import channel_reach, plan_to_targets
from prune.plan.layer import LayerPolicy, plan_layers
from prune.plan.readiness import assess
from prune.plan.target import settle_targets
from prune.plan.types import PrunePlan, blocks_at
from prune.plan.widths import Widths
from prune.settings import NOT_NEGATIVE, check_options, option
from prune.surgery.apply import apply

EXAMPLE = "python prune_channel.py --cfg net.cfg --weights sparse.weights --data my.data --percent 0.8 --out runs/cut"
DEFAULTS = {"percent": 0.8, "rule": "threshold"}
LATER = {name: Later(f"{value}; none with a target") for name, value in DEFAULTS.items()}

AUTO = "auto"
logger = logging.getLogger(__name__)


def parse_percent(text: str) -> float | str:
    """A number, or `auto`."""
    return text if text == AUTO else parse_finite(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelArgs:
    """The flags of this command besides its policy, targets, widths and scope; `percent` is the policy's, or AUTO; None
    with a target."""

    percent: float | str | None = option(
        None,
        "the share of channels to cut, in [0, 1); auto: of the gammas those below the gap that python -m "
        "prune.readiness finds",
        flags=("--global-percent",),
        metavar="X",
        parse=parse_percent,
    )
    sweep: tuple[float, ...] | None = option(
        None, "with --data: evaluate each percent, write nothing", parse=parse_sweep, metavar="A:B:STEP"
    )
    shortcuts: int = option(
        0,
        "with a target: also remove the N residual blocks that prune_layer.py would remove; the target is that of both",
        metavar="N",
        within=NOT_NEGATIVE,
    )

    def __post_init__(self) -> None:
        check_options(self)


def make_parser() -> Parser:
    text = "Prune channels of a network by the γ of its batch norms."
    parser = pruning_parser(text, EXAMPLE, ChannelPolicy, omit=("percent",), defaults=LATER)
    add_options(parser, WidthArgs, title="widths")
    add_options(parser, ChannelArgs, defaults=LATER)
    return parser


def main() -> int:
    namespace = make_parser().parse_args()
    asked, scope, limits = take(namespace, TargetArgs), take(namespace, Scope), take(namespace, WidthArgs)
    policy = asked_policy(namespace, asked)
    args = take(namespace, ChannelArgs)
    writes = args.sweep is None and not namespace.dry_run
    pair, command = open_pruning(namespace, writes, also=[limits.bounds])
    graph = trace_groups(pair.netdef, scope)
    widths = limits.widths(graph, policy.layer_keep)
    if args.sweep is not None:
        run_sweep(pair, graph, policy, args.sweep, command, widths)
        return 0
    automatic = args.percent == AUTO and take(namespace, PlanArgs).plan is None
    if automatic:
        policy = replace(policy, percent=safe_percent(pair, graph, command))
    maker = Maker(pair, graph, policy, widths, asked, args.shortcuts, automatic)
    plan = chosen_plan(namespace, pair, graph, "channels", maker.plan)
    text, facts = report_cut(pair, graph, plan)
    command.echo(text)
    pruned = apply(pair.netdef, pair.weights, plan)
    if namespace.dry_run:
        command.echo(plan.describe(graph))
        blocks = blocks_at(graph.netdef, plan.removed, plan.scope)
        command.echo(format_reach(channel_reach(graph, widths, blocks, pair.settings.img_size)))
        command.finish(facts)
        return 0
    close_pruning(pair, pruned, plan, command, facts)
    return 0


def asked_policy(namespace: Namespace, asked: TargetArgs) -> ChannelPolicy:
    """The policy of the flags; percent is still 0 under --percent auto and with a target. Sets the defaults that depend
    on the target. Raises UsageError for flags that exclude each other.
    """
    targeted = bool(asked.amounts())
    require(targeted or not namespace.shortcuts, "--shortcuts needs a target here; without one use prune_layer.py")
    if targeted and namespace.rule == "share":
        namespace.rule = None  # what a target implies
    settle_defaults(namespace, asked.amounts(), DEFAULTS, others=["sweep", "plan"])
    if targeted:
        namespace.rule = "share"
        return take(namespace, ChannelPolicy, percent=0.0)
    if namespace.percent != AUTO:
        return take(namespace, ChannelPolicy)
    policy = take(namespace, ChannelPolicy, percent=0.0)
    require(namespace.sweep is None, "--percent auto finds one percent, --sweep tries several: choose one of them")
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


@dataclass(frozen=True, slots=True)
class Maker:
    """Everything that a new plan is made of. `shortcuts`: how many blocks are removed with a target; `automatic`:
    whether the percent of the policy was found automatically."""

    pair: Pair
    graph: ChannelGraph
    policy: ChannelPolicy
    widths: Widths
    asked: TargetArgs
    shortcuts: int
    automatic: bool

    def plan(self) -> PrunePlan:
        """The plan of the targets, else of the policy; the latter notes whether its percent was found automatically."""
        graph, weights = self.graph, self.pair.weights
        if not self.asked.amounts():
            plan = plan_channels(graph, weights, self.policy, widths=self.widths)
            return replace(plan, policy={**plan.policy, AUTO: True}) if self.automatic else plan
        removed = plan_layers(graph, weights, LayerPolicy(shortcuts=self.shortcuts)).removed
        blocks = blocks_at(graph.netdef, removed, graph.scope)
        targets = settle_targets(graph, self.asked.amounts(), self.pair.settings.img_size)
        return plan_to_targets(graph, weights, targets, self.widths, blocks)


def report_cut(pair: Pair, graph: ChannelGraph, plan: PrunePlan) -> tuple[str, dict[str, Any]]:
    """What was asked for and what is cut: in words, and the facts for the summary."""
    asked = float(plan.policy.get("percent", 0.0))
    share, threshold = shares(graph, plan, asked), threshold_of(graph, pair.weights, asked)
    real = f"{share.of_prunable:.1%} of the prunable channels, {share.of_all:.1%} of all with batch norm"
    if "targets" in plan.policy:
        table, facts = report_targets(plan, graph, pair.settings.img_size)
        return f"{table}\npruned: {real}", facts | {"share": {"of_prunable": share.of_prunable, "of_all": share.of_all}}
    words = f"requested {asked:.1%} ({plan.policy.get('rule')}, |γ| ≤ {threshold:.4g}); pruned: {real}"
    facts = {"threshold": threshold, "share": asdict(share), "percent": asked, "auto": bool(plan.policy.get(AUTO))}
    return words, facts
