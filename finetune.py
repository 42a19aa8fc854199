"""Recover the accuracy of a pruned network: training with defaults for a network that is already trained."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.finetune import main as main

if __name__ == "__main__":
    run_command(main)
