"""What the commands share about how much is to be left: the flags, which of them exclude each other, the tables."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prune.cli.groups import require
from prune.graph.channels import ChannelGraph
from prune.plan.amount import Amount
from prune.plan.bounds import read_bounds
from prune.plan.target import MEASURES, Left, Reach, Size, given_amounts, settle_targets
from prune.plan.types import PrunePlan, blocks_at
from prune.plan.widths import Widths
from prune.report.tables import format_table
from prune.settings import AT_LEAST_ONE, check_options, option


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetArgs:
    """How much of the network is left at most: a field per measure of `MEASURES` that a user can give."""

    target_params: Amount | None = option(
        None,
        "parameters to be left at most, such as 0.3x (a share) or 850k; prune_channel.py leaves at least 0.98 N",
        parse=MEASURES["params"].parse,
        metavar="N",
        once=True,
    )
    target_bflops: Amount | None = option(
        None,
        "BFLOPs to be left, at --img-size, such as 0.25x or 1.8; with several targets all are met",
        parse=MEASURES["bflops"].parse,
        metavar="N",
        once=True,
    )
    target_mb: Amount | None = option(
        None,
        "size to be left of the weights file, in MB of 10^6 bytes, such as 0.3x or 3.5",
        parse=MEASURES["mb"].parse,
        metavar="N",
        once=True,
    )

    def amounts(self) -> dict[str, Amount]:
        """What was asked for, by the name of the measure."""
        return given_amounts(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthArgs:
    """The widths that layers can have, besides --layer-keep."""

    multiple_of: int = option(
        1,
        "of each layer keep a multiple of N channels, or all: more are kept than without it, unless a target is given",
        metavar="N",
        within=AT_LEAST_ONE,
    )
    bounds: Path | None = option(
        None,
        "text file of lines LAYERS LEAST MOST, such as 17-20 0.5 1.0: the shares of their channels that are kept at "
        "least and at most",
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        check_options(self)

    def widths(self, graph: ChannelGraph, layer_keep: float) -> Widths:
        """The widths for a network. Raises FileError naming a line of --bounds."""
        bounds = {} if self.bounds is None else read_bounds(self.bounds, graph)
        return Widths(layer_keep=layer_keep, multiple_of=self.multiple_of, bounds=bounds)


def settle_defaults(
    namespace: argparse.Namespace, amounts: Mapping[str, Amount], defaults: Mapping[str, Any], others: Sequence[str]
) -> None:
    """Set the flags in `defaults`, which say how much is removed, unless a target says how much is left.

    Raises UsageError if a target is given together with one of them, or of `others`.
    """
    for name in (*defaults, *others):
        given = getattr(namespace, name)
        if amounts:
            flag = MEASURES[next(iter(amounts))].flag
            require(given is None, f"{flag} and --{name.replace('_', '-')} exclude each other: give one of them")
        elif name in defaults and given is None:
            setattr(namespace, name, defaults[name])


def report_targets(plan: PrunePlan, graph: ChannelGraph, size: Size) -> tuple[str, dict[str, Any]]:
    """What a plan was asked to leave and what it leaves: a table, and the facts for the summary."""
    amounts = {name: MEASURES[name].parse(text) for name, text in plan.policy["targets"].items()}
    left = Left(graph.kept_ids(plan.keep()), blocks_at(graph.netdef, plan.removed, plan.scope))
    targets = settle_targets(graph, amounts, size)
    facts, rows = dict[str, Any](), list[list[object]]()
    for name, target in targets.asked.items():
        cost, measure = targets.cost(target, left), target.measure
        facts[name] = {"wanted": target.wanted / measure.unit, "left": cost / measure.unit}
        share = f"{targets.share(target, left) - 1:+.2%}"
        rows.append([f"{measure.flag} {target.amount}", measure.text(target.wanted), measure.number(cost), share])
    return format_table(["target", "at most", "left", "difference"], rows), {"targets": facts}


def format_reach(reach: Sequence[Reach]) -> str:
    """What can be reached of every measure."""
    rows = [
        [entry.measure.name, *map(entry.measure.number, (entry.least, entry.most, entry.whole)), _shares(entry)]
        for entry in reach
    ]
    return format_table(["reachable", "least", "most", "unpruned", "shares"], rows)


def _shares(entry: Reach) -> str | None:
    if not entry.whole:
        return None
    return f"{entry.least / entry.whole:.4f}x to {entry.most / entry.whole:.4f}x"
