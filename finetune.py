"""Bring a pruned network back to its accuracy: training with defaults for one that has already learned."""

from __future__ import annotations

if __name__ == "__main__":  # before anything that takes its time
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.finetune import main as main

if __name__ == "__main__":
    run_command(main)
