"""The averaged weights that are evaluated and saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def decay_at(update: int, highest: float) -> float:
    """Decay before the update number `update` (from 0): min(highest, (1+t)/(10+t)).

    So the average always spans about the last ninth of what was trained: 100 steps in, the first steps are
    long forgotten, and a run of a few hundred steps does not lag behind its own weights.
    """
    return min(highest, (1 + update) / (10 + update))


def make_ema(model: nn.Module, highest: float) -> AveragedModel:
    """An average of `model`, buffers (batch norm's mean and variance) included."""
    return AveragedModel(model, multi_avg_fn=_ramped(highest), use_buffers=True)


def _ramped(highest: float) -> Callable[[Any, Any, Any], None]:
    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(averaged, current, 1 - decay_at(int(count), highest))
        else:
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)

    return update
