"""The log line of an epoch."""

from __future__ import annotations

import pytest

from prune.train.epoch_line import COLUMNS, epoch_line

SPARSE = {
    "loss": 12.3456,
    "box": 5.82123,
    "obj": 3.11234,
    "cls": 1.23456,
    "gamma<0.001": 0.38,
    "gamma<0.01": 0.4712,
    "gamma<0.1": 0.57,
    "s": 0.00123,
    "chosen": 0.5123,
    "lr": 0.000201234,
    "ap": 0.4991,
    "ap50": 0.84912,
    "ap75": 0.3012,
}


def test_an_epoch_is_one_line_that_fits_a_terminal_whatever_is_logged() -> None:
    line = epoch_line(9999, 10000, SPARSE, 12345.6)
    assert len(line) <= COLUMNS == 120
    assert "\n" not in line


def test_values_that_matter_most_are_kept_where_there_is_no_room_for_all() -> None:
    line = epoch_line(99, 100, {f"term {n}": 0.12345 for n in range(12)} | SPARSE, 12.3)
    assert line.startswith("epoch 99/100  loss 12.3")
    assert line.endswith("12.3 s")
    for word in ("gamma<0.01 47 %", "ap50 0.849", "lr 0.000201", "s 0.00123"):
        assert word in line
    assert "term" not in line
    assert "ap75" not in line


def test_without_sparsity_and_evaluation_all_values_are_shown() -> None:
    values = {"loss": 2.0, "box": 1.0, "obj": 0.5, "cls": 0.5, "distill": 0.1, "lr": 0.01}
    assert epoch_line(0, 2, values, 1.0) == ("epoch 0/2  loss 2  box 1  obj 0.5  cls 0.5  distill 0.1  lr 0.01  1.0 s")


@pytest.mark.parametrize("value", [float("nan"), 1e300, -1e-300])
def test_any_number_can_be_shown(value: float) -> None:
    assert len(epoch_line(0, 1, dict.fromkeys(SPARSE, value), 1.0)) <= COLUMNS
