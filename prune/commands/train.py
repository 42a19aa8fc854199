"""Train a Darknet network on a dataset."""

from __future__ import annotations

from pathlib import Path

from prune.cli import Parser
from prune.cli.training import close_training, fit, open_training, training_parser

EXAMPLE = "python train.py --cfg cfg/yolov3-nano.cfg --data data/shapes/shapes.data --epochs 40 --out runs/base"


def make_parser() -> Parser:
    return training_parser("Train a Darknet network on a dataset.", EXAMPLE, defaults={"out": Path("runs/train")})


def main() -> int:
    job, command = open_training(make_parser().parse_args())

    from prune.train.session import Session  # torch is imported only after the arguments are parsed

    session = Session(job)
    fit(session)
    close_training(command, session)
    return 0
