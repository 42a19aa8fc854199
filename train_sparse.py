"""Train on with L1 on the γ of batch norm, so that channels which are not needed show by a small γ."""

from __future__ import annotations

if __name__ == "__main__":  # before anything that takes its time
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.train_sparse import main as main

if __name__ == "__main__":
    run_command(main)
