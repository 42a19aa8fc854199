"""Continue training with L1 on the γ of batch norm, so that a small γ marks channels that are not needed."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.train_sparse import main as main

if __name__ == "__main__":
    run_command(main)
