"""Bring a pruned network back to its accuracy: training with defaults for one that has already learned."""

from __future__ import annotations

if __name__ == "__main__":  # before anything that takes its time
    from prune.startup import start

    start()

from pathlib import Path

from prune.cli import run_command
from prune.cli.training import FINETUNE_DEFAULTS, close_training, open_training, training_parser

EXAMPLE = (
    "python finetune.py --cfg runs/cut/pruned.cfg --weights runs/cut/pruned.weights "
    "--data data/shapes/shapes.data --epochs 30 --out runs/tuned"
)


def main() -> int:
    parser = training_parser(str(__doc__), EXAMPLE, defaults=FINETUNE_DEFAULTS | {"out": Path("runs/finetune")})
    job, command = open_training(parser.parse_args())

    from prune.train.session import Session

    session = Session(job)
    session.fit()
    close_training(command, session)
    return 0


if __name__ == "__main__":
    run_command(main)
