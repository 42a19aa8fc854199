"""Train a Darknet network on a data set."""

from __future__ import annotations

if __name__ == "__main__":  # before anything that takes its time
    from prune.startup import start

    start()

from pathlib import Path

from prune.cli import run_command
from prune.cli.training import close_training, open_training, training_parser

EXAMPLE = "python train.py --cfg cfg/yolov3-nano.cfg --data data/shapes/shapes.data --epochs 40 --out runs/base"


def main() -> int:
    parser = training_parser("Train a Darknet network on a data set.", EXAMPLE, defaults={"out": Path("runs/train")})
    job, command = open_training(parser.parse_args())

    from prune.train.session import Session  # torch comes in here, after the arguments parsed

    session = Session(job)
    session.fit()
    close_training(command, session)
    return 0


if __name__ == "__main__":
    run_command(main)
