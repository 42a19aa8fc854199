"""Measure how long networks take in the runtimes that are installed, side by side."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.benchmark import main as main

if __name__ == "__main__":
    run_command(main)
