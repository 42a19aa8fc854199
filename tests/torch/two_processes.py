"""A training command in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.shared import REPOSITORY


def launch(folder: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a training command in two processes on the CPU."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [*launcher, str(REPOSITORY / command), *arguments, "--device", "cpu"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
