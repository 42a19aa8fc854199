"""The training loop on a toy network: resuming, accumulation, averaging, what is saved, what stops it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from prune.errors import TrainingError, UsageError
from prune.train.checkpoint import read_checkpoint
from prune.train.distributed import World
from prune.train.ema import decay_at, make_ema
from prune.train.hooks import Batch, Hook, StepInfo
from prune.train.meter import Meter
from prune.train.optim import make_optimizer
from prune.train.settings import TrainSettings
from tests.torch.toy import IMAGES, ToyBatches, toy_model, toy_trainer


class StopAfter(Hook):
    """An interruption at the start of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def epoch_start(self, epoch: int) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


class Spoil(Hook):
    """A loss term that is NaN from an epoch on."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.now = epoch, 0

    def epoch_start(self, epoch: int) -> None:
        self.now = epoch

    def loss(self, raw: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        return {"broken": raw[0].sum() * float("nan")} if self.now >= self.epoch else {}


class Gradients(Hook):
    """Records the gradients of the first step."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.seen = model, list[Tensor]()

    def before_step(self, info: StepInfo) -> None:
        if info.step == 0:
            self.seen = [p.grad.clone() for p in self.model.parameters() if p.grad is not None]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_four_epochs_equal_two_and_two_after_an_interruption_bit_for_bit(tmp_path: Path, optimizer: str) -> None:
    straight = toy_trainer(toy_model(), tmp_path / "a", optimizer=optimizer)
    straight.fit()
    broken = toy_trainer(toy_model(), tmp_path / "b", optimizer=optimizer, hooks=(StopAfter(2),))
    with pytest.raises(KeyboardInterrupt):
        broken.fit()
    torch.manual_seed(99)  # dropout must continue from the stored state, not from this one
    again = toy_trainer(toy_model(seed=5), tmp_path / "b", optimizer=optimizer)
    again.resume(read_checkpoint(tmp_path / "b" / "last.pt"))
    assert (again.progress.epoch, again.progress.step) == (2, 6)
    again.fit()
    assert same(straight.model.state_dict(), again.model.state_dict())
    assert same(straight.averaged.state_dict(), again.averaged.state_dict())
    assert straight.progress.seen == again.progress.seen == 48


def test_accumulated_small_batches_give_the_gradient_of_the_large_one() -> None:
    def first_gradient(batch_size: int, accumulate: int) -> list[Tensor]:
        model = toy_model(dropout=0.0)
        model.norm.eval()
        model.train = lambda mode=True: model  # type: ignore[method-assign]  # batch statistics differ
        watch = Gradients(model)
        toy_trainer(
            model,
            hooks=(watch,),
            batch_size=batch_size,
            accumulate=accumulate,
            shuffle=False,
            epochs=1,
            clip=0.0,
        ).fit()
        return watch.seen

    for small, large in zip(first_gradient(4, 3), first_gradient(12, 1), strict=True):
        torch.testing.assert_close(small, large)


def test_the_loss_of_a_short_last_group_is_still_a_mean_per_image() -> None:
    trainer = toy_trainer(toy_model(), batch_size=3, accumulate=3, epochs=1)
    trainer.fit()
    assert trainer.schedule.steps_per_epoch == trainer.progress.step == 2
    assert trainer.progress.seen == 12


def test_training_lowers_the_loss_and_writes_one_line_per_epoch(tmp_path: Path) -> None:
    toy_trainer(toy_model(), tmp_path, epochs=6).fit()
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == list("012345")
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert {"loss", "box", "obj", "cls", "lr", "seconds"} <= rows[0].keys()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"epoch 1, step 3: the loss is not finite.*lower --lr") as caught:
        toy_trainer(toy_model(), tmp_path, hooks=(Spoil(1),)).fit()
    assert caught.value.exit_code == 1
    kept = read_checkpoint(tmp_path / "last.pt")
    assert kept.epoch == 1
    assert all(bool(torch.isfinite(value).all()) for value in kept.model.values())


def test_a_loss_that_is_noticed_at_the_end_of_its_epoch_is_not_kept_either(tmp_path: Path) -> None:
    trainer = toy_trainer(toy_model(), tmp_path, hooks=(Spoil(1),), validate=lambda model: {"ap50": 0.5})
    trainer.updater.checked_every = 50
    with pytest.raises(TrainingError, match=r"epoch 1: the loss is not finite \(loss nan.*lower --lr"):
        trainer.fit()
    kept = read_checkpoint(tmp_path / "last.pt")
    assert (kept.epoch, trainer.progress.epoch) == (1, 1)
    assert all(bool(torch.isfinite(value).all()) for value in (kept.model | kept.ema).values())


def test_the_best_checkpoint_is_that_of_the_highest_ap50(tmp_path: Path) -> None:
    scores = iter([0.2, 0.7, 0.5, 0.6])
    trainer = toy_trainer(toy_model(), tmp_path, validate=lambda model: {"ap50": next(scores)})
    progress = trainer.fit()
    assert progress.best == {"epoch": 1.0, "ap50": 0.7}
    assert read_checkpoint(tmp_path / "best.pt").epoch == 2
    assert read_checkpoint(tmp_path / "last.pt").epoch == 4


def test_evaluation_follows_its_interval_and_always_runs_after_the_last_epoch(tmp_path: Path) -> None:
    calls: list[nn.Module] = []

    def validate(model: nn.Module) -> dict[str, float]:
        assert not model.training
        calls.append(model)
        return {"ap50": 0.1}

    trainer = toy_trainer(toy_model(), tmp_path, validate=validate, epochs=5)
    trainer.eval_interval = 2
    trainer.fit()
    assert len(calls) == 3
    assert all(model is trainer.averaged for model in calls)


def test_weight_decay_acts_on_convolution_kernels_only() -> None:
    model = toy_model()
    optimizer = make_optimizer(model, TrainSettings(weight_decay=0.1))
    decayed = [p for g in optimizer.param_groups if g["weight_decay"] > 0 for p in g["params"]]
    assert {id(p) for p in decayed} == {id(model.conv.weight), id(model.head.weight)}
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(model.parameters()))


def test_the_average_does_not_depend_on_the_start_after_a_hundred_steps() -> None:
    model = toy_model()
    ema = make_ema(model, 0.9998)
    start = model.head.weight.detach().clone()
    with torch.no_grad():
        for step in range(100):
            model.head.weight.copy_(start + min(step, 50))
            ema.update_parameters(model)
    averaged = dict(ema.module.named_parameters())["head.weight"]
    assert float((averaged.detach() - start - 50).abs().max()) < 0.5
    assert decay_at(0, 0.9998) == pytest.approx(0.1)
    assert decay_at(10**6, 0.9998) == 0.9998


def test_resuming_with_another_network_is_refused_because_it_does_not_fit(tmp_path: Path) -> None:
    toy_trainer(toy_model(), tmp_path, epochs=1).fit()
    other = nn.Sequential(nn.Conv2d(3, 6, 1))
    with pytest.raises(UsageError, match="does not fit this network"):
        toy_trainer(other).resume(read_checkpoint(tmp_path / "last.pt"))


def test_resuming_keeps_the_weight_decay_given_now_and_refuses_another_optimiser(tmp_path: Path) -> None:
    toy_trainer(toy_model(), tmp_path, epochs=1).fit()
    checkpoint = read_checkpoint(tmp_path / "last.pt")
    again = toy_trainer(toy_model(), epochs=2, weight_decay=0.25)
    again.resume(checkpoint)
    assert [group["weight_decay"] for group in again.updater.optimizer.param_groups] == [0.25, 0.0]
    with pytest.raises(UsageError, match="--optimizer sgd"):
        toy_trainer(toy_model(), epochs=2, optimizer="adamw").resume(checkpoint)
    with pytest.raises(UsageError, match=r"not a last\.pt or mid\.pt"):
        toy_trainer(toy_model(), epochs=2).resume(replace(checkpoint, optimizer={}))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_checkpoint_from_before_the_fused_optimisers_is_resumed_with_one(tmp_path: Path, optimizer: str) -> None:
    toy_trainer(toy_model(), tmp_path, epochs=1, optimizer=optimizer).fit()
    checkpoint = read_checkpoint(tmp_path / "last.pt")
    for group in checkpoint.optimizer["param_groups"]:
        group["fused"] = None
    again = toy_trainer(toy_model(), epochs=2, optimizer=optimizer)
    again.resume(checkpoint)
    assert {group["fused"] for group in again.updater.optimizer.param_groups} == {True}
    assert again.fit().epoch == 2


def test_a_resumed_run_with_another_batch_size_is_at_the_same_epoch_of_its_schedule(tmp_path: Path) -> None:
    toy_trainer(toy_model(), tmp_path, epochs=1).fit()
    again = toy_trainer(toy_model(), epochs=2, accumulate=2)
    again.resume(read_checkpoint(tmp_path / "last.pt"))
    assert again.progress.step == again.schedule.steps_per_epoch


def test_of_equal_scores_the_earlier_epoch_remains_the_best(tmp_path: Path) -> None:
    trainer = toy_trainer(toy_model(), tmp_path, validate=lambda model: {"ap50": 0.5}, epochs=3)
    assert trainer.fit().best == {"epoch": 0.0, "ap50": 0.5}
    assert read_checkpoint(tmp_path / "best.pt").epoch == 1


def test_a_resumed_run_restores_its_best_epoch(tmp_path: Path) -> None:
    toy_trainer(toy_model(), tmp_path, validate=lambda model: {"ap50": 0.7}, epochs=1).fit()
    again = toy_trainer(toy_model(), tmp_path, validate=lambda model: {"ap50": 0.6}, epochs=2)
    again.resume(read_checkpoint(tmp_path / "last.pt"))
    assert again.fit().best == {"epoch": 0.0, "ap50": 0.7}
    assert read_checkpoint(tmp_path / "best.pt").epoch == 1


def test_a_resumed_run_continues_with_its_gradient_scale() -> None:
    first, again = toy_trainer(toy_model()), toy_trainer(toy_model())
    first.updater.scaler = GradScaler("cpu", init_scale=8.0)
    first.updater.update(list(ToyBatches().epoch(0)), 0, 0)
    again.updater.scaler = GradScaler("cpu", init_scale=1024.0)
    again.resume(first.checkpoint())
    assert again.updater.scaler.get_scale() == 8.0


class Alike(World):
    """Processes that all have the same losses."""

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        return dict(values)


def test_images_of_all_processes_count_as_seen() -> None:
    trainer = toy_trainer(toy_model(), epochs=1)
    trainer.world = Alike(size=3)
    assert trainer.fit().seen == 3 * IMAGES


def test_a_line_of_the_results_contains_the_last_rate_and_the_mean_loss_of_its_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = toy_trainer(toy_model(), tmp_path, epochs=2, warmup=0.0)
    losses: list[float] = []
    update = trainer.updater.update

    def noted(*arguments: Any) -> Meter:
        values = update(*arguments)
        losses.append(values.read()["loss"])
        return values

    monkeypatch.setattr(trainer.updater, "update", noted)
    trainer.fit()
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [float(row["lr"]) for row in rows] == pytest.approx([trainer.schedule.lr_at(n) for n in (2, 5)], rel=1e-4)
    assert [float(row["loss"]) for row in rows] == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:]) / 3], rel=1e-4)


def test_a_network_broken_by_the_last_update_of_an_epoch_is_not_saved(tmp_path: Path) -> None:
    class Break(Hook):
        @torch.no_grad()
        def after_step(self, info: StepInfo) -> None:
            if info.step == 5:
                model.head.weight.fill_(float("inf"))

    model = toy_model()
    with pytest.raises(TrainingError, match=r"epoch 1: a weight is no longer finite; lower --lr"):
        toy_trainer(model, tmp_path, hooks=(Break(),)).fit()
    assert read_checkpoint(tmp_path / "last.pt").epoch == 1


def test_the_average_covers_the_statistics_of_batch_norm_and_copies_counts() -> None:
    """Decay 1/10 before the first update, 6/15 before the sixth."""
    model = toy_model()
    ema = make_ema(model, 0.9998)
    buffers = dict(ema.module.named_buffers())
    ema.update_parameters(model)  # torch's first update copies
    for update in range(1, 6):
        before = buffers["norm.running_mean"].clone()
        model.norm.running_mean.fill_(float(update))  # type: ignore[union-attr]
        model.norm.num_batches_tracked.fill_(update)  # type: ignore[union-attr]
        ema.update_parameters(model)
        decay = (1 + update) / (10 + update)
        torch.testing.assert_close(buffers["norm.running_mean"], decay * before + (1 - decay) * update)
        assert int(buffers["norm.num_batches_tracked"]) == update
    assert [decay_at(update, 0.5) for update in (0, 5, 8, 50)] == pytest.approx([0.1, 0.4, 0.5, 0.5])
