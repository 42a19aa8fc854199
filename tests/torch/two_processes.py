"""A training command in two processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.shared import REPOSITORY


def environment() -> dict[str, str]:
    """That of a process which computes in one thread."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}


def launch(folder: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a training command in two processes on the CPU."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*launcher, str(REPOSITORY / command), *arguments, "--device", "cpu"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def start(folder: Path, command: str, *arguments: str) -> list[subprocess.Popen[str]]:
    """Start a training command as two processes without a launcher, which would end one when the other has ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    return [
        subprocess.Popen(
            [sys.executable, str(REPOSITORY / command), *arguments, "--device", "cpu"],
            cwd=folder,
            env=environment() | meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]


def train_together(folder: Path, command: str, *arguments: str) -> None:
    """Run a training command as two processes, without a launcher. Raises AssertionError if one of them fails."""
    processes = start(folder, command, *arguments)
    told = [process.communicate(timeout=280)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "".join(told)
