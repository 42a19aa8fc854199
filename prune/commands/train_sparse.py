"""Continue training with a penalty on the γ of batch norm, so that a small γ marks channels that are not needed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Literal

from prune.cli import Later, Parser, take, take_row
from prune.cli.readiness import PICTURE, READINESS, ReadyArgs, assess_run, check_ready, forget_readiness
from prune.cli.training import close_training, fit, open_training, training_parser
from prune.graph.channels import trace_groups
from prune.graph.scope import Scope
from prune.report.readiness import readiness_facts
from prune.train.penalties import PENALTIES
from prune.train.settings import SparsitySettings

EXAMPLE = (
    "python train_sparse.py --cfg runs/base/model.cfg --weights runs/base/best.weights "
    "--data data/shapes/shapes.data --target-params 0.2x --epochs 40 --out runs/sparse"
)
STEERED: dict[str, Any] = {"penalty": "prox-l1", "optimizer": "adamw", "lr": 0.001, "warmup": 1.0, "equalize": True}
"""Defaults with --s auto: as the baseline is trained. At half the rate what is left has no time to recover."""
FIXED: dict[str, Any] = {"penalty": "l1", "optimizer": "sgd", "lr": 0.02, "warmup": 3.0, "equalize": False}
"""Defaults with a given s. SGD: its momentum moves γ ten times as far as the proximal step of other optimisers at the
same rate."""
SPARSE_DEFAULTS: dict[str, Any] = {"out": Path("runs/sparse")} | {
    name: Later(f"{STEERED[name]}; with --s X {FIXED[name]}") for name in STEERED
}
OUTPUTS = ["mid.pt", "gamma_history.npz", READINESS, PICTURE]


def make_parser() -> Parser:
    groups: dict[str, type[Any]] = {
        "sparsity": SparsitySettings,
        **PENALTIES,
        "what is sparsified": Scope,
        "readiness": ReadyArgs,
    }
    parser = training_parser(str(__doc__), EXAMPLE, groups=groups, defaults=SPARSE_DEFAULTS)
    parser.add_argument(
        "-sr",
        "--sparsity-regularization",
        action="store_true",
        help="accepted for compatibility: this command always sparsifies",
    )
    return parser


def settled(namespace: argparse.Namespace) -> argparse.Namespace:
    """The arguments with the defaults that depend on whether a strength was given."""
    for name, value in (STEERED if namespace.s is None else FIXED).items():
        if getattr(namespace, name) is None:
            setattr(namespace, name, value)
    return namespace


def main() -> int:
    namespace = settled(make_parser().parse_args())
    settings, scope, ready = take(namespace, SparsitySettings), take(namespace, Scope), take(namespace, ReadyArgs)
    penalty = take_row(namespace, PENALTIES, settings.penalty)
    job, command = open_training(namespace, outputs=OUTPUTS)

    from prune.train.session import Session
    from prune.train.sparsity import sparsify

    session = Session(job)
    graph = trace_groups(session.netdef, scope)
    hook = sparsify(session, graph, settings, penalty)
    forget_readiness(session)
    kept: Literal["best", "last"] = "best" if hook.goal else "last"  # with a given s the best may not be sparse yet
    fit(session, [hook], measured=kept)
    if session.world.writes:
        readiness = assess_run(command, graph, hook.history, f"{kept}.weights", hook.goal)
        close_training(command, session, {"readiness": readiness_facts(readiness)})
        command.echo(readiness.advice())
        check_ready(readiness, ready)
    return 0
