"""Learning rate and momentum over the steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prune.errors import UsageError
from prune.train.optim import make_optimizer, set_rates
from prune.train.schedule import Schedule, make_schedule
from prune.train.settings import TrainSettings
from tests.torch.toy import toy_model


@given(st.integers(1, 300), st.integers(1, 50), st.floats(0, 10), st.floats(1e-4, 1), st.floats(0.01, 1))
def test_rates_stay_within_their_bounds(epochs: int, steps: int, warmup: float, lr: float, final: float) -> None:
    settings = TrainSettings(epochs=epochs, lr=lr, lr_final=final, warmup=warmup)
    schedule = make_schedule(settings, steps)
    rates = [schedule.lr_at(step) for step in range(schedule.steps)]
    assert schedule.steps == epochs * steps
    assert all(0 < rate <= lr * (1 + 1e-9) for rate in rates)
    assert rates[: schedule.warmup] == sorted(rates[: schedule.warmup])
    assert rates[schedule.warmup :] == sorted(rates[schedule.warmup :], reverse=True)
    assert all(0.8 <= schedule.momentum_at(step) <= 0.9 for step in range(schedule.steps))


def test_warm_up_ends_at_the_top_and_the_cosine_at_its_floor() -> None:
    schedule = make_schedule(TrainSettings(epochs=40, lr=0.1, lr_final=0.01, warmup=3), 25)
    assert schedule.warmup == 75
    assert schedule.lr_at(0) == pytest.approx(0.1 / 75)
    assert schedule.lr_at(74) == schedule.lr_at(75) == pytest.approx(0.1)
    assert schedule.lr_at(999) == pytest.approx(0.001)
    assert schedule.momentum_at(74) == schedule.momentum_at(500) == 0.9


def test_the_warm_up_of_a_short_run_is_a_tenth_of_it() -> None:
    assert make_schedule(TrainSettings(epochs=4, warmup=3), 25).warmup == 10
    assert make_schedule(TrainSettings(epochs=1, warmup=3), 5).warmup == 0


def test_travel_counts_momentum() -> None:
    schedule = Schedule(10, 5, 0, 0.1, 1.0, 0.9)
    assert sum(schedule.travel(step) for step in range(10)) == pytest.approx(10.0)


def test_every_group_gets_the_rate_and_momentum_of_the_step() -> None:
    settings = TrainSettings(epochs=40, lr=0.1)
    schedule = make_schedule(settings, 25)
    optimizer = make_optimizer(toy_model(), settings)
    assert set_rates(optimizer, schedule, 0) == schedule.lr_at(0)
    assert [g["lr"] for g in optimizer.param_groups] == [schedule.lr_at(0)] * 2
    assert [g["momentum"] for g in optimizer.param_groups] == [schedule.momentum_at(0)] * 2
    adamw = make_optimizer(toy_model(), TrainSettings(optimizer="adamw"))
    set_rates(adamw, schedule, 0)
    assert isinstance(adamw, torch.optim.AdamW)
    assert adamw.param_groups[0]["betas"] == (schedule.momentum_at(0), 0.999)


def test_the_default_rate_depends_on_the_optimiser() -> None:
    assert TrainSettings().top_lr == 0.01
    assert TrainSettings(optimizer="adamw").top_lr == 0.001
    assert TrainSettings(lr=0.5).top_lr == 0.5


@pytest.mark.parametrize("values", [{"epochs": 0}, {"lr": 0.0}, {"accumulate": 0}, {"momentum": 1.0}, {"ema": 1.0}])
def test_settings_out_of_range_name_their_flag(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(values))}"):
        TrainSettings(**values)  # type: ignore[arg-type]


def test_momentum_warms_up_from_four_fifths_or_from_a_lower_final_one() -> None:
    schedule = Schedule(steps=100, steps_per_epoch=10, warmup=4, lr=0.1, lr_final=0.1, momentum=0.9)
    assert [schedule.momentum_at(step) for step in range(5)] == pytest.approx([0.825, 0.85, 0.875, 0.9, 0.9])
    low = replace(schedule, momentum=0.5)
    assert [low.momentum_at(step) for step in (0, 2, 50)] == [0.5, 0.5, 0.5]


def test_after_the_last_step_the_rate_remains_at_its_floor() -> None:
    schedule = Schedule(steps=20, steps_per_epoch=10, warmup=2, lr=0.1, lr_final=0.25, momentum=0.9)
    assert [schedule.lr_at(step) for step in (19, 20, 30)] == pytest.approx([0.025] * 3)


@pytest.mark.parametrize(
    ("epochs", "steps", "warmup", "expected"), [(40, 3, 2.6, 8), (40, 3, 2.4, 7), (3, 5, 3.0, 1), (19, 1, 3.0, 1)]
)
def test_the_warm_up_is_rounded_to_steps_and_its_limit_rounded_down(
    epochs: int, steps: int, warmup: float, expected: int
) -> None:
    assert make_schedule(TrainSettings(epochs=epochs, warmup=warmup), steps).warmup == expected


def test_sgd_looks_ahead_where_it_has_momentum() -> None:
    assert make_optimizer(toy_model(), TrainSettings()).defaults["nesterov"] is True
    assert make_optimizer(toy_model(), TrainSettings(momentum=0.0)).defaults["nesterov"] is False


def test_the_kernels_of_connected_layers_decay_too() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.Linear(2, 2))
    decayed, others = make_optimizer(model, TrainSettings(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(model[0].weight), id(model[1].weight)}
