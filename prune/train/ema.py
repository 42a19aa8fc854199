"""The averaged weights that are evaluated and saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def decay_at(update: int, maximum: float) -> float:
    """Decay of update `update` (from 0): min(maximum, (1+t)/(10+t)).

    So the average always covers about the last ninth of the training: after 100 steps the first ones no longer
    count, and even in a run of a few hundred steps the average does not lag behind the weights.
    """
    return min(maximum, (1 + update) / (10 + update))


def make_ema(model: nn.Module, maximum: float) -> AveragedModel:
    """An average of `model`, buffers (batch norm's mean and variance) included."""
    return AveragedModel(model, multi_avg_fn=_ramped(maximum), use_buffers=True)


def _ramped(maximum: float) -> Callable[[Any, Any, Any], None]:
    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(averaged, current, 1 - decay_at(int(count), maximum))
        else:
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)

    return update
