"""`python -m prune.check DATA`: what is wrong with a dataset, what is in it, and anchors for it."""

from __future__ import annotations

if __name__ == "__main__":  # before anything that takes its time
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.check import main as main

if __name__ == "__main__":
    run_command(main)
