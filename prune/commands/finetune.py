"""Recover the accuracy of a pruned network: training with defaults for a network that is already trained."""

from __future__ import annotations

from pathlib import Path

from prune.cli import Parser
from prune.cli.training import FINETUNE_DEFAULTS, close_training, fit, open_training, training_parser

EXAMPLE = (
    "python finetune.py --cfg runs/cut/pruned.cfg --weights runs/cut/pruned.weights "
    "--data data/shapes/shapes.data --epochs 30 --out runs/tuned"
)


def make_parser() -> Parser:
    return training_parser(str(__doc__), EXAMPLE, defaults=FINETUNE_DEFAULTS | {"out": Path("runs/finetune")})


def main() -> int:
    job, command = open_training(make_parser().parse_args())

    from prune.train.session import Session

    session = Session(job)
    fit(session)
    close_training(command, session)
    return 0
