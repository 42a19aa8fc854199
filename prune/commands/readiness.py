"""`darknet-prune readiness CFG WEIGHTS`: how much of a network can be cut safely, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prune.cli import Parser, RunArgs, add_options, open_command, require, take
from prune.cli.readiness import PICTURE, READINESS, ReadyArgs, check_ready, read_history, write_readiness
from prune.darknet.netdef import read_netdef
from prune.graph.channels import trace_groups
from prune.graph.scope import Scope
from prune.plan.readiness import assess
from prune.report.readiness import readiness_facts, readiness_table
from prune.settings import option

EXAMPLE = (
    "python -m prune.readiness runs/sparse/model.cfg runs/sparse/last.weights --out runs/ready "
    "--history runs/sparse/gamma_history.npz"
)
OMITTED = ("device", "workers", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessArgs:
    """What the picture shows besides the histogram of the weights."""

    history: Path | None = option(
        None, "with --out: the gamma_history.npz of a sparse training, drawn over its epochs", metavar="FILE"
    )


def make_parser() -> Parser:
    parser = Parser("Show how much of a network can be pruned safely by its gammas.", EXAMPLE)
    parser.add_argument("cfg", type=Path, metavar="CFG", help="the network definition (Darknet cfg)")
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="its weights (.weights or our .pt)")
    for group, omit in ((Scope, ()), (ReadinessArgs, ()), (ReadyArgs, ()), (RunArgs, OMITTED)):
        add_options(parser, group, omit=omit)
    return parser


def main() -> int:
    given = make_parser().parse_args()
    run, args, ready = take(given, RunArgs), take(given, ReadinessArgs), take(given, ReadyArgs)
    scope = take(given, Scope)
    require(args.history is None or run.out is not None, "--history needs --out: it is drawn into gamma.png there")
    outputs = [READINESS, PICTURE] if run.out else []
    command = open_command(given, run, inputs=[given.cfg, given.weights, args.history], outputs=outputs)
    graph = trace_groups(read_netdef(given.cfg), scope)

    from prune.model.files import read_exact  # torch is imported only after the arguments are parsed

    weights = read_exact(given.weights, graph.netdef)
    history = read_history(args.history) if args.history else None
    readiness = assess(graph, weights)
    if run.out:
        command.begin_writing()
        write_readiness(command, graph, weights, readiness, history)
    command.finish({"readiness": readiness_facts(readiness)})
    command.echo(readiness_table(readiness))
    command.echo(readiness.advice())
    check_ready(readiness, ready)
    return 0
