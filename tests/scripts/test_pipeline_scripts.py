"""What `compress.sh` asks beside the commands: how long to train, and whether a stage did its work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prune.commands.compare import read_stage
from prune.errors import TargetError
from scripts.epochs import epochs_for
from scripts.guard import check_stage, fall
from tests.shared import REPOSITORY


@pytest.mark.parametrize(("images", "epochs"), [(0, 100), (40, 100), (205, 73), (500, 30), (1000, 20), (100_000, 20)])
def test_small_datasets_are_repeated_more_often_within_limits(images: int, epochs: int) -> None:
    assert epochs_for(images) == epochs


def stage(folder: Path, ap50: float | None, pruned: bool = False) -> Path:
    folder.mkdir()
    facts = {"parameters": 9, "bflops": 1.0, "weights_bytes": 56, "layers": 3} | (
        {} if ap50 is None else {"ap50": ap50}
    )
    summary = {"before": facts | {"ap50": 0.9}, "after": facts} if pruned else facts
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.mark.parametrize(("now", "pruned"), [(0.4, False), (0.41, True), (None, False)])
def test_a_stage_that_keeps_half_of_the_accuracy_passes(tmp_path: Path, now: float | None, pruned: bool) -> None:
    stages = stage(tmp_path / "sparse", now, pruned), stage(tmp_path / "baseline", 0.8)
    check_stage(*stages)
    assert fall(*map(read_stage, stages)) is None


@pytest.mark.parametrize(
    ("name", "pruned", "advice"),
    [("sparse", False, "train longer"), ("channels", True, "prune less"), ("other", False, "results.csv")],
)
def test_a_stage_that_lost_more_than_half_names_the_numbers_and_the_next_step(
    tmp_path: Path, name: str, pruned: bool, advice: str
) -> None:
    stages = stage(tmp_path / name, 0.13, pruned), stage(tmp_path / "baseline", 0.83)
    with pytest.raises(TargetError, match=rf"AP50 fell from 0.830 to 0.130; .*{advice}"):
        check_stage(*stages)


@pytest.mark.parametrize(("text", "code"), [(None, 3), ("[]", 2), ("{", 2), ("{}", 2)])
def test_the_guard_ends_with_an_exit_code_and_one_line(tmp_path: Path, text: str | None, code: int) -> None:
    stages = stage(tmp_path / "sparse", 0.1), stage(tmp_path / "baseline", 0.8)
    if text is not None:
        (stages[0] / "summary.json").write_text(text)
    command = [sys.executable, "-m", "scripts.guard", *map(str, stages)]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert found.returncode == code
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("percent", "given", "named"),
    [(["0.5"], {}, "a percent (0.5)"), ([], {"SPARSE_ARGS": "--s 0.01"}, "a strength in SPARSE_ARGS")],
)
def test_a_target_without_effect_is_refused_before_anything_is_trained(
    tmp_path: Path, percent: list[str], given: dict[str, str], named: str
) -> None:
    command = ["bash", str(REPOSITORY / "scripts" / "compress.sh"), "a.cfg", "a.data", "-", str(tmp_path / "out")]
    environment = {"PATH": os.environ["PATH"], "TARGET": "0.1x", **given}
    found = subprocess.run(command + percent, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr == f"error: TARGET=0.1x has no effect with {named}; leave out one of them\n"
    assert not (tmp_path / "out").exists()
