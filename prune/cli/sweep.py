"""`--sweep 0.5:0.95:0.05`: one row per percent, to find the largest one that is nearly lossless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from prune.cli.command import Command
from prune.cli.groups import require
from prune.cli.pruning import Pair
from prune.graph.channels import ChannelGraph
from prune.plan.channel import ChannelPolicy, plan_channels, shares
from prune.plan.widths import Widths
from prune.report.tables import format_table

COLUMNS = ("percent", "real share", "parameters", "BFLOPs", "ap", "ap50")


def parse_sweep(text: str) -> tuple[float, ...]:
    """`start:stop:step`, both ends included, as percents in [0, 1)."""
    start, stop, step = (float(part) for part in text.split(":"))
    if not (0 <= start <= stop < 1 and step > 0):
        raise ValueError(text)
    return tuple(round(start + i * step, 10) for i in range(int((stop - start) / step + 1e-9) + 1))


def run_sweep(
    pair: Pair,
    graph: ChannelGraph,
    policy: ChannelPolicy,
    percents: tuple[float, ...],
    command: Command,
    widths: Widths,
) -> None:
    """Show the table of `percents`, the unpruned network first; nothing is written except a requested summary."""
    require(pair.samples is not None, "--sweep needs --data: it measures each percent")
    rows = list(
        tqdm(
            _rows(pair, graph, policy, percents, widths),
            "sweep",
            len(percents) + 1,
            leave=False,
            disable=_hidden(command),
        )
    )
    command.finish({"sweep": rows})
    command.echo(format_table(COLUMNS, [[row.get(name) for name in COLUMNS] for row in rows]))
    pair.faults.log()


def _hidden(command: Command) -> bool | None:
    """The value of tqdm's `disable`: None hides the bar if standard error is not a terminal."""
    return True if command.run.quiet else None


def _rows(
    pair: Pair, graph: ChannelGraph, policy: ChannelPolicy, percents: tuple[float, ...], widths: Widths
) -> Iterator[Mapping[str, Any]]:
    trial = pair.trial()
    yield _row(0.0, 0.0, pair.summary(trial.original()))
    for percent in percents:
        plan = plan_channels(graph, pair.weights, replace(policy, percent=percent), widths=widths)
        real = shares(graph, plan, percent).of_all
        yield _row(percent, real, pair.summary(trial.score(plan)))


def _row(percent: float, real: float, facts: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "percent": percent,
        "real share": real,
        "parameters": facts["parameters"],
        "BFLOPs": facts["bflops"],
    }
    return found | {name: facts[name] for name in ("ap", "ap50") if name in facts}
