"""Measure a network on the valid images of a data set, or what one has found in them."""

from __future__ import annotations

if __name__ == "__main__":  # before anything that takes its time
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.evaluate import main as main

if __name__ == "__main__":
    run_command(main)
