"""Sums that are read once per epoch."""

from __future__ import annotations

import math

import pytest
import torch

from prune.train.meter import Meter, all_finite, shown


def test_sums_are_weighted_and_kept_by_name() -> None:
    step, epoch = Meter(), Meter()
    step.add({"loss": torch.tensor(2.0), "box": torch.tensor(1.0)}, 0.5)
    step.add({"loss": torch.tensor(4.0), "box": torch.tensor(3.0)}, 0.5)
    epoch.merge(step, 0.25)
    assert step.read() == {"loss": 3.0, "box": 2.0}
    assert epoch.read() == {"loss": 0.75, "box": 0.5}
    assert Meter().read() == {}


def test_a_name_that_comes_later_or_alone_has_its_own_sum() -> None:
    meter = Meter()
    meter.add({"loss": torch.tensor(1.0)})
    meter.add({"loss": torch.tensor(1.0), "hint": torch.tensor(5.0)})
    meter.add({})
    assert meter.read() == {"loss": 2.0, "hint": 5.0}


def test_a_term_is_neither_part_of_the_graph_nor_kept_by_it() -> None:
    weight = torch.ones((), requires_grad=True)
    meter = Meter()
    meter.add({"loss": 3 * weight})
    assert not any(row.requires_grad for row in meter._sums.values())


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_term_that_is_not_finite_shows_in_the_sum(broken: float) -> None:
    meter = Meter()
    for value in (1.0, broken, 2.0):
        meter.add({"loss": torch.tensor(value)})
    assert not all_finite(meter.read())
    assert "loss" in shown(meter.read())
    assert all_finite({"loss": 1.0})
