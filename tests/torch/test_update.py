"""One update: what is scaled, clipped and added in which order, and what happens if a gradient overflows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from prune.errors import TrainingError
from prune.train.engine import Trainer
from prune.train.gammas import Gammas
from prune.train.hooks import Batch, Hook, StepInfo
from prune.train.optim import make_optimizer
from prune.train.settings import SparsitySettings, TrainSettings
from prune.train.sparsity import SparsityHook
from tests.torch.toy import ToyBatches, ToyModel, toy_model, toy_trainer


class Watch(Hook):
    """Records the gradients as hooks see them, and how often the optimiser has stepped."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.gradients, self.steps = model, list[Tensor](), 0

    def before_step(self, info: StepInfo) -> None:
        self.gradients = [p.grad.clone() for p in self.model.parameters() if p.grad is not None]

    def after_step(self, info: StepInfo) -> None:
        self.steps += 1

    @property
    def norm(self) -> float:
        return float(torch.stack([g.square().sum() for g in self.gradients]).sum().sqrt())


class Steep(Hook):
    """A loss term of 0 whose gradient is not finite."""

    def loss(self, raw: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        return {"steep": (raw[0] * 0).sum().sqrt()}


class Pull(Hook):
    """A loss term: the mean of the outputs."""

    def loss(self, raw: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        return {"pull": raw[0].mean()}


def steady_model() -> ToyModel:
    """A toy that computes the same in training for any split of its images: no dropout, fixed statistics."""
    model = toy_model(dropout=0.0)
    model.norm.eval()
    return model


def batches(*sizes: int) -> list[Batch]:
    """The toy's first images, in batches of these sizes."""
    parts = ToyBatches().imgs[: sum(sizes)].split(list(sizes))  # type: ignore[no-untyped-call]
    return [Batch(imgs, torch.zeros(0, 6), (8, 8)) for imgs in parts]


def updated(
    *sizes: int,
    scale: float | None = None,
    hooks: tuple[Hook, ...] = (),
    model: ToyModel | None = None,
    **settings: Any,
) -> tuple[Trainer, Watch, dict[str, float]]:
    """A trainer after one update on batches of these sizes; `scale`: what a scaler multiplies the loss by."""
    model = model or steady_model()
    watch = Watch(model)
    trainer = toy_trainer(model, hooks=(*hooks, watch), **settings)
    if scale is not None:
        trainer.updater.scaler = GradScaler("cpu", init_scale=scale)
    return trainer, watch, trainer.updater.update(batches(*sizes), 0, 0).read()


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_hooks_see_the_same_gradients_whatever_the_loss_was_scaled_by(clip: float) -> None:
    _, plain, _ = updated(4, clip=clip)
    trainer, scaled, _ = updated(4, scale=1024.0, clip=clip)
    for one, other in zip(plain.gradients, scaled.gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert scaled.steps == int(trainer.updater.ema.n_averaged) == 1


def test_clipping_limits_the_gradient_of_the_loss_and_0_turns_it_off() -> None:
    free = updated(4, clip=0.0)[1].norm
    assert free > 0.02
    assert updated(4, clip=0.01)[1].norm == pytest.approx(0.01, rel=1e-3)
    assert updated(4, clip=2 * free)[1].norm == pytest.approx(free)


@pytest.mark.parametrize("scale", [None, 256.0])
def test_l1_is_added_to_the_gradient_after_it_is_unscaled_and_clipped(scale: float | None) -> None:
    model = steady_model()
    hook = SparsityHook(Gammas([model.norm]), SparsitySettings(s=0.5), epochs=1)
    before = model.norm.weight.detach().clone()
    updated(4, scale=scale, hooks=(hook,), model=model, clip=1e-6, momentum=0.0, warmup=0.0, lr=0.1)
    torch.testing.assert_close(before - model.norm.weight.detach(), torch.full((8,), 0.05), rtol=1e-3, atol=1e-6)


def test_a_scaled_step_whose_gradient_is_not_finite_is_skipped_and_the_scale_lowered() -> None:
    model = steady_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer, watch, _ = updated(4, scale=16.0, hooks=(Steep(),), model=model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert watch.steps == int(trainer.updater.ema.n_averaged) == 0
    assert trainer.updater.scaler.get_scale() == 8.0
    assert all(p.grad is None for p in model.parameters())


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_step() -> None:
    model = steady_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TrainingError, match=r"epoch 0, step 0: a gradient is not finite; lower --lr"):
        updated(4, hooks=(Steep(),), model=model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("sizes", [(3, 1), (1, 1, 2), (2, 2)])
def test_batches_of_any_sizes_give_the_gradient_and_the_losses_of_their_images_together(sizes: tuple[int, ...]) -> None:
    _, whole, losses = updated(4, clip=0.0)
    _, parts, found = updated(*sizes, clip=0.0)
    for one, other in zip(whole.gradients, parts.gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert found == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("sizes", [(4,), (3, 1)])
def test_the_terms_of_hooks_are_added_to_the_loss_and_the_gradient(sizes: tuple[int, ...]) -> None:
    _, plain, alone = updated(*sizes, clip=0.0)
    _, pulled, both = updated(*sizes, clip=0.0, hooks=(Pull(), Pull()))
    assert "pull" not in alone
    assert both["loss"] == pytest.approx(alone["loss"] + both["pull"], rel=1e-5)
    bias = pulled.gradients[-1] - plain.gradients[-1]  # of each of six outputs, by two hooks
    torch.testing.assert_close(bias, torch.full((6,), 2 / 6))


class Named(Hook):
    """A term of the loss with its own name."""

    def __init__(self, name: str, weight: float) -> None:
        self.name, self.weight = name, weight

    def loss(self, raw: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        return {self.name: self.weight * raw[0].square().mean()}


def test_each_term_of_a_hook_is_a_column_by_its_own_name() -> None:
    _, _, alone = updated(4)
    _, _, values = updated(4, hooks=(Named("hint", 1.0), Named("attention", 3.0)))
    assert list(values) == ["loss", "box", "obj", "cls", "hint", "attention"]
    assert values["attention"] == pytest.approx(3 * values["hint"], rel=1e-6)
    assert values["loss"] == pytest.approx(alone["loss"] + 4 * values["hint"], rel=1e-5)


def test_where_reading_waits_for_the_device_a_gradient_that_is_not_finite_is_noticed_some_steps_later() -> None:
    trainer = toy_trainer(steady_model(), hooks=(Steep(),))
    trainer.updater.checked_every = 3
    for step in (0, 1):
        trainer.updater.update(batches(4), 0, step)
    with pytest.raises(TrainingError, match=r"epoch 0, step 2: .* in one of the last 3 steps .*gradient norm nan"):
        trainer.updater.update(batches(4), 0, 2)


def test_checking_later_changes_no_weight_of_a_run_that_is_finite() -> None:
    states = []
    for every in (1, 3):
        model = steady_model()
        trainer = toy_trainer(model, clip=0.01)
        trainer.updater.checked_every = every
        for step in range(4):
            trainer.updater.update(batches(4), 0, step)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_optimisers_run_one_kernel_for_all_parameters_unless_a_scaler_may_skip_a_step(optimizer: Any) -> None:
    settings = TrainSettings(optimizer=optimizer)
    weights = []
    for scaled in (False, True):
        made = make_optimizer(steady_model(), settings, scaled)
        assert made.defaults["fused"] is (None if scaled else True)
        parameters = [p for group in made.param_groups for p in group["params"]]
        for step in range(3):
            for number, parameter in enumerate(parameters):
                parameter.grad = torch.full_like(parameter, 0.1 * (number + step))
            made.step()
        weights.append(torch.cat([p.detach().flatten() for p in parameters]))
    torch.testing.assert_close(weights[0], weights[1])
