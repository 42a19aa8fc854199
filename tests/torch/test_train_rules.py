"""Single rules around the training loop: reach, histories, files kept or removed, mosaic's end, intervals, sizes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prune.loading.augment import AugmentSettings
from prune.loading.loaders import TrainLoader
from prune.train.batches import DetectionBatches
from prune.train.checkpoint import read_checkpoint
from prune.train.checkpoint_writer import CheckpointWriter
from prune.train.gamma import GammaHistory
from prune.train.gammas import Gammas
from prune.train.results import Results, resume_results
from prune.train.session import Session
from prune.train.settings import SparsitySettings, TrainSettings
from prune.train.sizes import scaled_sizes
from prune.train.sparsity import report_reach, sparsify
from tests.small_cfgs import cbl, graph_of
from tests.torch.toy import toy_model, toy_trainer


def session_of(out: Path, first_epoch: int = 0, continues: bool = False, **settings: Any) -> Session:
    """What a sparse run needs of a session: ten batches per epoch, ten epochs, a constant rate of 0.01."""
    values: dict[str, Any] = {"epochs": 10, "lr": 0.01, "lr_final": 1.0, "warmup": 0.0, "momentum": 0.9} | settings
    job = SimpleNamespace(train=TrainSettings(**values), out=out, continues=continues)
    model = SimpleNamespace(bn_of=lambda index: nn.BatchNorm2d(4))
    world = SimpleNamespace(writes=True)
    found = SimpleNamespace(job=job, batches=range(10), first_epoch=first_epoch, model=model, world=world)
    found.schedule = lambda: Session.schedule(cast(Session, found))
    return cast(Session, found)


@pytest.mark.parametrize(
    ("settings", "first_epoch", "reach"),
    [
        ({}, 0, "10 "),  # 100 steps of 0.01 / (1 − 0.9)
        ({}, 4, "6 "),
        ({"accumulate": 2}, 0, "5 "),
        ({"accumulate": 3}, 5, "2 "),  # four steps per epoch, the last of one batch
        ({"optimizer": "adamw"}, 0, "1 "),
    ],
)
def test_the_reach_is_that_of_the_remaining_steps_with_the_optimiser(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any], first_epoch: int, reach: str
) -> None:
    session = session_of(tmp_path, first_epoch, **settings)
    with caplog.at_level(logging.INFO, logger="prune.train.sparsity"):
        report_reach(session, Gammas([nn.BatchNorm2d(4)]), SparsitySettings(s=1.0))
    assert f"can move a gamma by {reach}" in caplog.text


@pytest.mark.parametrize(("continues", "rows"), [(True, [0, 1]), (False, [])])
def test_the_histogram_of_gammas_continues_only_in_the_folder_of_the_run_itself(
    tmp_path: Path, continues: bool, rows: list[int]
) -> None:
    history = GammaHistory(tmp_path / "gamma_history.npz")
    for epoch in range(4):
        history.append(epoch, np.array([0.1, 1.0]))
    hook = sparsify(session_of(tmp_path, 2, continues), graph_of(cbl(4)), SparsitySettings(s=0.001))
    assert hook.history is not None
    assert list(hook.history.rows) == rows


def test_the_best_checkpoint_contains_no_optimiser_state_and_the_last_does(tmp_path: Path) -> None:
    toy_trainer(toy_model(), tmp_path, epochs=1).fit()
    assert read_checkpoint(tmp_path / "best.pt").optimizer == {}
    assert read_checkpoint(tmp_path / "last.pt").optimizer["state"]


def test_what_an_earlier_run_left_is_removed_except_the_checkpoint_that_is_resumed(tmp_path: Path) -> None:
    for name in ("last.pt", "mid.pt", "mine.txt"):
        (tmp_path / name).write_text("x")
    CheckpointWriter(tmp_path).clear(("last.pt", "mid.pt", "best.pt"), spare=tmp_path / "mid.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mid.pt", "mine.txt"]


def test_resumed_results_drop_the_epochs_that_will_be_repeated(tmp_path: Path) -> None:
    table = Results(tmp_path / "results.csv")
    for epoch in range(4):
        table.append({"epoch": epoch, "loss": 0.5})
    assert [row["epoch"] for row in resume_results(tmp_path / "results.csv", 2).rows] == ["0", "1"]


class Loader:
    """Records the settings of each epoch; returns white images of bytes."""

    def __init__(self) -> None:
        self.epochs, self.augments = list[int](), list[AugmentSettings]()

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def set_augment(self, augment: AugmentSettings) -> None:
        self.augments.append(augment)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield torch.full((2, 3, 4, 8), 255, dtype=torch.uint8), torch.zeros(0, 6)


def test_mosaic_ends_with_the_epoch_it_should_and_white_is_1() -> None:
    loader = Loader()
    batches = DetectionBatches(cast(TrainLoader, loader), AugmentSettings(mosaic=0.75), 2, device=torch.device("cpu"))
    (batch,), *_ = [list(batches.epoch(epoch)) for epoch in range(4)]
    assert loader.epochs == [0, 1, 2, 3]
    assert [augment.mosaic for augment in loader.augments] == [0.75, 0.75, 0.0, 0.0]
    assert (batch.size_wh, float(batch.imgs.min()), float(batch.imgs.max())) == ((8, 4), 1.0, 1.0)


@pytest.mark.parametrize(
    ("asked", "valid", "train", "interval"),
    [(3, 80, 100, 3), (0, 80, 100, 4), (0, 20, 100, 1), (0, 81, 100, 5), (0, 9, 1, 20)],
)
def test_evaluation_takes_a_tenth_of_the_time_or_follows_the_requested_interval(
    asked: int, valid: int, train: int, interval: int
) -> None:
    """An evaluated image costs half a trained one. It takes place at least once in the 20 epochs."""
    job = SimpleNamespace(train=TrainSettings(epochs=20, eval_interval=asked))
    session = cast(Session, SimpleNamespace(job=job, valid_set=range(valid), train_set=range(train)))
    assert Session._eval_interval(session) == interval


def test_multi_scale_reaches_four_thirds_where_the_stride_does() -> None:
    assert scaled_sizes((100, 100), 19) == [(side, side) for side in (76, 95, 114, 133)]
