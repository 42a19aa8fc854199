"""`python -m prune.check DATA`: faults and statistics of a dataset, and anchors for it."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.check import main as main

if __name__ == "__main__":
    run_command(main)
