"""Interrupted and finished runs that are resumed: the same files and facts as without the interruption."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import train
import train_sparse
from benchmarks.kills_compare import differences
from benchmarks.kills_setup import arguments, make_inputs
from prune.cli import exit_code
from prune.train.board import find_board
from prune.train.checkpoint import read_checkpoint
from prune.train.engine import Trainer

SCRIPTS = {"train": train, "train_sparse": train_sparse}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.fixture
def run(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a training command in this process; the out folder first, then more flags."""
    monkeypatch.chdir(inputs)

    def started(out: Path, *more: str, command: str = "train") -> int:
        monkeypatch.setattr(sys, "argv", [f"{command}.py", *arguments(command), "--out", str(out), *more])
        return exit_code(SCRIPTS[command].main)

    return started


def interrupt_after(monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> None:
    """Ctrl-C just after `name` has been written that many times; nothing that follows is done."""
    replace, count = os.replace, [0]

    def replaced(source: Any, target: Any) -> None:
        replace(source, target)
        count[0] += Path(target).name == name
        if count[0] == times and Path(target).name == name:
            monkeypatch.setattr(os, "replace", replace)
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replaced)


def facts(out: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return {key: value for key, value in summary.items() if key not in ("arguments", "inputs", "wall_seconds")}


@pytest.mark.parametrize("command", ["train", "train_sparse"])
def test_a_finished_run_reports_the_same_when_it_is_resumed_and_does_not_train(
    tmp_path: Path, run: Callable[..., int], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert run(out, command=command) == 0
    before, files = facts(out), {path.name: path.read_bytes() for path in out.iterdir()}
    assert before["last"]["ap50"] >= 0

    def trained(*_: object) -> None:
        raise AssertionError("it is finished")

    monkeypatch.setattr(Trainer, "_train_epoch", trained)
    assert run(out, "--resume", command=command) == 0
    assert facts(out) == before
    del files["summary.json"]
    assert {name: (out / name).read_bytes() for name in files} == files


def test_a_run_interrupted_before_its_summary_gets_it_when_it_is_resumed(
    tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "straight") == 0
    interrupt_after(monkeypatch, "last.weights", 3)
    assert run(tmp_path / "out") == 130
    assert run(tmp_path / "out", "--resume") == 0
    assert differences(tmp_path / "straight", tmp_path / "out") == []


@pytest.mark.parametrize(
    ("name", "times"), [("results.csv", 2), ("last.pt", 2), ("last.pt", 3), ("last.weights", 2), ("best.pt", 1)]
)
def test_a_run_resumed_with_other_settings_does_not_show_what_was_lost(
    tmp_path: Path, run: Callable[..., int], name: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two files of an epoch, or at its end: the same as from a folder in which all files are of one epoch."""
    other = ("--resume", "--lr", "0.0003", "--eval-interval", "3")
    interrupt_after(monkeypatch, name, times)
    assert run(tmp_path / "out") == 130
    epoch = read_checkpoint(tmp_path / "out/last.pt").epoch
    clean = tmp_path / "clean"
    interrupt_after(monkeypatch, "results.csv", epoch + 1)
    assert run(clean) == 130
    assert read_checkpoint(clean / "last.pt").epoch == epoch
    rows = (clean / "results.csv").read_text().splitlines(keepends=True)
    (clean / "results.csv").write_text("".join(rows[: epoch + 1]))
    for folder in (tmp_path / "out", clean):
        assert run(folder, *other) == 0
    assert differences(clean, tmp_path / "out") == []
    last, best = (read_checkpoint(tmp_path / "out" / f"{stem}.pt") for stem in ("last", "best"))
    assert last.best["epoch"] == best.epoch - 1


def test_an_interruption_during_the_first_epoch_can_be_resumed(
    tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "straight") == 0
    interrupt_after(monkeypatch, "model.cfg", 1)
    assert run(tmp_path / "out") == 130
    assert run(tmp_path / "out", "--resume") == 0
    assert differences(tmp_path / "straight", tmp_path / "out") == []


def test_a_finished_run_that_is_continued_is_not_marked_as_finished(
    tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "out") == 0
    interrupt_after(monkeypatch, "results.csv", 1)
    assert run(tmp_path / "out", "--resume", "--epochs", "5") == 130
    assert not (tmp_path / "out/summary.json").exists()


def test_an_overwritten_run_first_loses_its_summary_then_its_checkpoint(
    tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "out") == 0
    removed: list[str] = []
    unlink = os.unlink

    def watched(path: Any, **more: Any) -> None:
        if Path(path).parent == tmp_path / "out":
            removed.append(Path(path).name)
        unlink(path, **more)

    monkeypatch.setattr(os, "unlink", watched)
    assert run(tmp_path / "out", "--overwrite", "--seed", "3") == 0
    assert removed[:2] == ["summary.json", "last.pt"]


def test_a_run_from_the_middle_of_another_has_its_own_checkpoint_from_the_start(
    tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "a", command="train_sparse") == 0
    shutil.copy(tmp_path / "a/mid.pt", tmp_path / "mid.pt")
    assert run(tmp_path / "straight", "--resume", str(tmp_path / "mid.pt"), command="train_sparse") == 0
    interrupt_after(monkeypatch, "results.csv", 1)
    assert run(tmp_path / "out", "--resume", str(tmp_path / "mid.pt"), command="train_sparse") == 130
    assert run(tmp_path / "out", "--resume", command="train_sparse") == 0
    assert [told for told in differences(tmp_path / "straight", tmp_path / "out") if "summary" not in told] == []


def test_curves_that_will_be_logged_once_more_are_purged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, int | None]] = []
    fake = ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = lambda folder, purge_step: made.append((folder, purge_step))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    monkeypatch.setattr("prune.train.board.importlib.util.find_spec", lambda name: SimpleNamespace(name=name))
    find_board(tmp_path, 4)
    find_board(tmp_path)
    assert made == [(str(tmp_path), 4), (str(tmp_path), None)]
