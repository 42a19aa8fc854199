"""Trainings that are killed at any moment, and resumed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.shared import REPOSITORY

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def test_ten_killed_and_resumed_trainings_leave_the_files_of_undisturbed_ones() -> None:
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "10", "--seed", "4"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("10 runs killed")
