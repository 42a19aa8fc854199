"""Show what a network detects in images and videos and, with --compare, what a second one misses and adds."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.detect import main as main

if __name__ == "__main__":
    run_command(main)
