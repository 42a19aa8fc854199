"""Export a network as one ONNX file, checked with onnxruntime."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports
    from prune.startup import start

    start()

from prune.cli import run_command
from prune.commands.export import main as main

if __name__ == "__main__":
    run_command(main)
