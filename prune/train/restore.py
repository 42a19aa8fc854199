"""Restores the state of a run into the objects of a new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from prune.errors import UsageError
from prune.train.checkpoint import Checkpoint, restore_rng

DOES_NOT_FIT = (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError)
STATE = {"AdamW": ("step", "exp_avg", "exp_avg_sq"), "SGD": ("momentum_buffer",)}
"""What torch's optimisers store for each parameter."""


def restore(
    checkpoint: Checkpoint, model: nn.Module, ema: AveragedModel, optimizer: Optimizer, scaler: GradScaler
) -> None:
    """Restore the state of `checkpoint`, random generators included. Raises UsageError if it does not fit."""
    averaged = ema.module
    assert isinstance(averaged, nn.Module)
    with _named():
        model.load_state_dict(checkpoint.model)
        averaged.load_state_dict(checkpoint.ema)
        ema.n_averaged.fill_(checkpoint.ema_updates)
        _restore_optimizer(optimizer, checkpoint.optimizer)
        if checkpoint.scaler:
            scaler.load_state_dict(checkpoint.scaler)
        restore_rng(checkpoint.rng)


def _restore_optimizer(optimizer: Optimizer, stored: Mapping[str, Any]) -> None:
    """The state of each parameter is taken from `stored`; the options remain those given now. torch moves a state to
    where a fused optimiser needs it only if the stored options say that it is one: earlier checkpoints do not."""
    options = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    fused = optimizer.defaults["fused"]
    groups = [{**group, "fused": fused} for group in stored["param_groups"]]
    optimizer.load_state_dict({**stored, "param_groups": groups})
    for group, given in zip(optimizer.param_groups, options, strict=True):
        group.update(given)
    names = STATE[type(optimizer).__name__]
    for parameter, state in optimizer.state.items():
        for name in names:
            _check_memory(name, state[name], parameter)


def _check_memory(name: str, value: Any, parameter: Tensor) -> None:
    """Raise ValueError unless a value stored by an optimiser has the shape it needs at the next step."""
    shape = () if name == "step" else tuple(parameter.shape)
    absent = value is None and name == "momentum_buffer"  # without momentum
    if not absent and not (isinstance(value, Tensor) and tuple(value.shape) == shape):
        raise ValueError(f"the optimiser's {name} is not a tensor of shape {shape}")


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except DOES_NOT_FIT as cause:
        reason = " ".join(str(cause).split())[:160]
        raise UsageError(f"--resume: the checkpoint does not fit this network and optimiser: {reason}") from cause
