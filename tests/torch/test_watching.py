"""The pictures of a training run, and its curves in TensorBoard."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prune.commands import finetune, train, train_sparse
from prune.report.batch import COLUMNS, MOST, batch_sheet
from prune.report.colours import class_colour
from prune.report.draw import LONG_SIDE
from prune.report.line_chart import HEIGHT, WIDTH, Chart, Curve, draw_chart
from prune.report.results import results_sheet
from prune.train.board import Board
from tests.torch.small_trainings import BASE, folder, run

__all__ = ["folder"]
GREY = 128


def has_colour(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return bool((image == np.array(colour, np.uint8)).all(axis=-1).any())


def read(path: Path) -> NDArray[Any]:
    image = cv2.imread(str(path))
    assert image is not None
    return image


@pytest.mark.parametrize("command", [train, finetune, train_sparse])
def test_every_training_leaves_pictures_of_its_first_batch_and_its_results(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: ModuleType
) -> None:
    assert run(monkeypatch, command, f"{BASE} out --epochs 1") == 0
    assert min(read(folder / "out/batch.png").shape[:2]) >= LONG_SIDE
    assert read(folder / "out/results.png").shape[1] == 2 * WIDTH


def test_a_resumed_run_keeps_the_first_batch_and_draws_all_epochs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, train, f"{BASE} straight") == 0
    shutil.copytree(folder / "straight", folder / "again")
    (folder / "again/results.png").unlink()
    kept = (folder / "again/batch.png").stat().st_mtime_ns
    assert run(monkeypatch, train, f"{BASE} again --resume") == 0
    assert (folder / "again/batch.png").stat().st_mtime_ns == kept
    assert (folder / "again/results.png").read_bytes() == (folder / "straight/results.png").read_bytes()


def test_an_overwritten_run_has_no_picture_of_the_earlier_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, train, f"{BASE} out --epochs 1") == 0
    before = (folder / "out/batch.png").read_bytes()
    assert run(monkeypatch, train, f"{BASE} out --epochs 1 --seed 3 --overwrite") == 0
    assert (folder / "out/batch.png").read_bytes() != before


def test_the_boxes_of_each_image_are_drawn_on_it_in_the_colour_of_their_class() -> None:
    images = [np.full((32, 64, 3), GREY, np.uint8)] * 2
    targets = np.array([[0, 0, 0.5, 0.5, 0.4, 0.4], [1, 1, 0.5, 0.5, 0.4, 0.4]])
    sheet = batch_sheet(images, targets, ["cat", "dog"])
    left, right = sheet[:, : sheet.shape[1] // 2], sheet[:, sheet.shape[1] // 2 :]
    assert sheet.shape[1] > 2 * LONG_SIDE > sheet.shape[0]
    shown = [[has_colour(side, class_colour(label)) for label in (0, 1)] for side in (left, right)]
    assert shown == [[True, False], [False, True]]


@pytest.mark.parametrize("count", [1, 2, 4, 64])
def test_a_sheet_shows_the_first_images_of_any_batch(count: int) -> None:
    sheet = batch_sheet([np.full((8, 8, 3), GREY, np.uint8)] * count, np.zeros((0, 6)), [])
    columns, rows = min(count, COLUMNS), -(-min(count, MOST) // COLUMNS)
    assert (sheet.shape[0] // LONG_SIDE, sheet.shape[1] // LONG_SIDE) == (rows, columns)


def row(epoch: int, **values: object) -> dict[str, str]:
    return {"epoch": str(epoch), "loss": "2.5", "lr": "0.01"} | {name: str(value) for name, value in values.items()}


def test_results_have_a_chart_for_each_kind_of_value() -> None:
    assert results_sheet([row(0), row(1)]).shape[0] < 2 * HEIGHT
    sparse = [row(0, **{"gamma<0.01": 0, "ap50": 0.5}), row(1, **{"gamma<0.01": 0.5, "ap50": ""})]
    assert results_sheet(sparse).shape[0] > 2 * HEIGHT


@pytest.mark.parametrize("loss", ["nan", "inf", "0", "-1", "1e-300", "1e300", ""])
def test_a_table_with_any_numbers_can_be_drawn(loss: str) -> None:
    assert results_sheet([row(7, loss=loss), row(8), row(9, ap50=loss, s=loss)]).shape[1] == 2 * WIDTH


def test_a_curve_runs_from_the_lower_left_to_the_upper_right_if_it_rises() -> None:
    drawn = draw_chart(Chart("", [Curve("", np.array([0.0, 9.0]), np.array([1.0, 2.0]))])).astype(int)
    rows, columns = np.nonzero((drawn[80:-50, :, 2] - drawn[80:-50, :, 0]) > 100)  # the first colour is blue
    assert np.corrcoef(rows, columns)[0, 1] < -0.99


class Writer:
    """Stands for TensorBoard's, which may not be installed."""

    def __init__(self, folder: str, purge_step: int | None) -> None:
        self.scalars: dict[str, float] = {}
        self.histograms: dict[str, torch.Tensor] = {}

    def add_scalar(self, name: str, value: float, epoch: int) -> None:
        self.scalars[name] = value

    def add_histogram(self, name: str, values: torch.Tensor, epoch: int) -> None:
        self.histograms[name] = values.clone()

    def flush(self) -> None:
        pass


def test_the_board_shows_the_gammas_of_each_layer_as_they_are_after_the_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    gammas = {"layer 0": torch.nn.Parameter(torch.ones(2)), "layer 3": torch.nn.Parameter(torch.zeros(1))}
    board = Board(tmp_path, None, gammas)
    with torch.no_grad():
        gammas["layer 0"].mul_(2)
    board.append({"epoch": 1, "gamma<0.01": 0.3, "ap50": None})
    assert board.writer.scalars == {"gamma_below_0.01": 0.3}
    assert {name: values.tolist() for name, values in board.writer.histograms.items()} == {
        "gamma/layer 0": [2, 2],
        "gamma/layer 3": [0],
        "gamma/all layers": [2, 2, 0],
    }


def test_the_table_and_the_log_agree_that_one_line_is_one_epoch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, train_sparse, f"{BASE} out".replace(" --quiet", "")) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    rows = list(csv.DictReader((folder / "out/results.csv").read_text().splitlines()))
    assert len(lines) == len(rows) == 2
    assert max(map(len, lines)) <= 120
