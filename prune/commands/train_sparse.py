"""Continue training with L1 on the γ of batch norm, so that a small γ marks channels that are not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prune.cli import Parser, take, take_row
from prune.cli.training import close_training, fit, open_training, training_parser
from prune.graph.channels import trace_groups
from prune.graph.scope import Scope
from prune.train.penalties import PENALTIES
from prune.train.settings import SparsitySettings

EXAMPLE = (
    "python train_sparse.py --cfg runs/base/model.cfg --weights runs/base/best.weights "
    "--data data/shapes/shapes.data --s 0.005 --epochs 40 --out runs/sparse"
)
SPARSE_DEFAULTS = {"out": Path("runs/sparse"), "optimizer": "sgd", "lr": 0.02}
"""SGD: its momentum moves γ ten times as far as the proximal step of other optimisers at the same rate."""
OUTPUTS = ["mid.pt", "gamma_history.npz"]


def make_parser() -> Parser:
    groups: dict[str, type[Any]] = {"sparsity": SparsitySettings, **PENALTIES, "what is sparsified": Scope}
    parser = training_parser(str(__doc__), EXAMPLE, groups=groups, defaults=SPARSE_DEFAULTS)
    parser.add_argument(
        "-sr",
        "--sparsity-regularization",
        action="store_true",
        help="accepted for compatibility: this command always sparsifies",
    )
    return parser


def main() -> int:
    namespace = make_parser().parse_args()
    settings, scope = take(namespace, SparsitySettings), take(namespace, Scope)
    penalty = take_row(namespace, PENALTIES, settings.penalty)
    job, command = open_training(namespace, outputs=OUTPUTS)

    from prune.train.session import Session
    from prune.train.sparsity import sparsify

    session = Session(job)
    graph = trace_groups(session.netdef, scope)
    hook = sparsify(session, graph, settings, penalty)
    fit(session, [hook], measured="last")  # the last network is pruned: the best may not be sparse
    close_training(command, session)
    return 0
