"""What `compress.sh` asks beside the commands: how long to train, and whether a stage did its work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from prune.errors import TargetError
from prune.files.reading import read_json
from scripts.epochs import epochs_for
from scripts.guard import check_stage, fall
from tests.shared import REPOSITORY


@pytest.mark.parametrize(("images", "epochs"), [(0, 100), (40, 100), (205, 73), (500, 30), (1000, 20), (100_000, 20)])
def test_small_datasets_are_repeated_more_often_within_limits(images: int, epochs: int) -> None:
    assert epochs_for(images) == epochs


def stage(folder: Path, command: str, ap50: float | None, pruned: bool = False) -> Path:
    folder.mkdir()
    facts = {} if ap50 is None else {"ap50": ap50}
    summary = {"command": command} | ({"before": {"ap50": 0.9}, "after": facts} if pruned else facts)
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.mark.parametrize(("now", "pruned"), [(0.4, False), (0.41, True), (None, False)])
def test_a_stage_that_keeps_half_of_the_accuracy_passes(tmp_path: Path, now: float | None, pruned: bool) -> None:
    stages = stage(tmp_path / "a", "train_sparse.py", now, pruned), stage(tmp_path / "b", "train.py", 0.8)
    check_stage(*stages)
    assert fall(*(read_json(folder / "summary.json") for folder in stages)) is None


@pytest.mark.parametrize(
    ("command", "pruned", "advice"),
    [
        ("train_sparse.py", False, "train longer"),
        ("prune_channel.py", True, "prune less"),
        ("x.py", False, "results.csv"),
    ],
)
def test_a_stage_that_lost_more_than_half_names_the_numbers_and_the_next_step(
    tmp_path: Path, command: str, pruned: bool, advice: str
) -> None:
    stages = stage(tmp_path / "a", command, 0.13, pruned), stage(tmp_path / "b", "train.py", 0.83)
    with pytest.raises(TargetError, match=rf"AP50 fell from 0.830 to 0.130; .*{advice}"):
        check_stage(*stages)


def test_the_guard_ends_with_exit_code_3_and_one_line(tmp_path: Path) -> None:
    stages = stage(tmp_path / "a", "train_sparse.py", 0.1), stage(tmp_path / "b", "train.py", 0.8)
    found = subprocess.run(
        [sys.executable, "-m", "scripts.guard", *map(str, stages)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 3
    assert len(found.stderr.splitlines()) == 1
