"""Benchmarks without their data: one line that names what is missing and where it was searched for, exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import places
from tests.shared import REPOSITORY


def run_without_data(nowhere: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A benchmark as a user runs it, with the shared data set to the folder `nowhere`."""
    environment = os.environ | {"PRUNE_SHARED_DATA": str(nowhere)}
    words = [sys.executable, "-m", *command]
    return subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("benchmark", "missing"),
    [
        ("core_speed", "cfg-zoo/yolov4x-mish.cfg"),
        ("eval_speed", "weights/yolov3-tiny.weights"),
        ("darknet_valid", "weights/yolov3-tiny-123.cfg"),
    ],
)
def test_a_benchmark_without_the_shared_data_names_the_folder_it_searched(
    tmp_path: Path, benchmark: str, missing: str
) -> None:
    done = run_without_data(tmp_path / "none", f"benchmarks.{benchmark}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'none' / missing}")
    assert f"searched for in {tmp_path / 'none'}; set PRUNE_SHARED_DATA" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_comparison_before_its_run_names_the_run(tmp_path: Path) -> None:
    done = run_without_data(tmp_path / "none", "benchmarks.coco_mini", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "run bash benchmarks/coco_mini.sh OUT first" in done.stderr
    assert done.stderr.count("\n") == 1


def test_existing_files_are_not_reported_and_long_lists_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places.require(tmp_path, REPOSITORY / "cfg")
    with pytest.raises(SystemExit, match="2"):
        places.require(*(tmp_path / str(number) for number in range(5)), tmp_path)
    names = ", ".join(str(tmp_path / str(number)) for number in range(3))
    assert capsys.readouterr().err == f"error: {names} and 2 more: not found; check the path\n"
