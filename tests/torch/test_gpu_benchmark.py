"""The GPU benchmark: its time budget, its measurements, and what it does without tqdm. (It needs no GPU.)"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_setting
from benchmarks.gpu_budget import FAILED, SKIPPED, Budget, Result, flawed
from benchmarks.gpu_speed import LEAST, WARMUP, Timed
from benchmarks.gpu_training import Watched
from prune.train.hooks import Batch
from tests.shared import REPOSITORY

BATCH = Batch(torch.zeros(4, 3, 8, 8), torch.zeros(0, 6), (8, 8))


def endless() -> Result:
    while True:
        time.sleep(0.001)


def test_a_part_that_takes_too_long_is_interrupted_and_the_next_one_runs() -> None:
    budget = Budget(60)
    assert budget.attempt(0.05, endless) == {SKIPPED: "no time left"}
    assert budget.attempt(1.0, lambda: {"x": 1}) == {"x": 1}


def test_rows_measured_before_the_time_was_over_are_kept() -> None:
    budget = Budget(60)

    def part() -> Result:
        rows = [budget.attempt(budget.left, lambda: {"x": 1}), budget.attempt(budget.left, endless)]
        return {"rows": [*rows, budget.attempt(budget.left, lambda: {"x": 2})]}

    found = budget.attempt(0.1, part)
    assert [row.get("x") for row in found["rows"]] == [1, None, None]
    assert flawed(found, SKIPPED)
    assert not flawed(found, FAILED)


def test_an_error_is_a_result_in_one_line() -> None:
    def part() -> Result:
        raise ValueError("two\nlines")

    assert Budget(60).attempt(1.0, part) == {FAILED: "ValueError: two lines"}


def test_nothing_begins_once_the_whole_budget_is_spent() -> None:
    assert Budget(-1).attempt(10, lambda: {"x": 1}) == {SKIPPED: "no time left"}


def test_the_warm_up_is_not_measured() -> None:
    timed = Timed(BATCH, lambda: None, seconds=0.0)
    for number, _ in enumerate(timed.epoch(0)):
        time.sleep(0.05 if number < WARMUP else 0.005)
    assert number + 1 == WARMUP + 1 + LEAST
    assert 4 / 0.03 < timed.rate < 4 / 0.005


class Slow:
    """Batches that take some time to come."""

    def __len__(self) -> int:
        return 3

    def epoch(self, epoch: int) -> Iterator[Batch]:
        for _ in range(3):
            time.sleep(0.02)
            yield BATCH


def test_the_time_that_is_waited_for_batches_is_measured_and_nothing_else() -> None:
    watched = Watched(Slow(), cuda=False)
    for _ in watched.epoch(0):
        time.sleep(0.05)
    assert 0.06 <= watched.waited() < 0.15
    assert watched.waited() == 0


def test_without_tqdm_the_loops_run_over_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "tqdm")
    gpu_setting.stand_in_for_tqdm()
    from tqdm import tqdm

    with tqdm([1, 2], desc="x", leave=False) as bar:
        assert list(bar) == [1, 2]


def test_a_folder_without_the_data_is_named_with_the_fix(tmp_path: Path) -> None:
    command = ["bash", str(REPOSITORY / "benchmarks/gpu.sh"), str(tmp_path)]
    environment = {"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("not found; BCCD is the dataset's folder in VOC layout\n")
