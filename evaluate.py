"""Evaluate a network, or a file of its detections, on the valid images of a dataset."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.evaluate import main as main

if __name__ == "__main__":
    run_command(main)
