"""The averaged weights that are evaluated and saved."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def decay_at(update: int, maximum: float) -> float:
    """Decay of update `update` (from 0): min(maximum, (1+t)/(10+t)).

    So the average always covers about the last ninth of the training: after 100 steps the first ones no longer
    count, and even in a run of a few hundred steps the average does not lag behind the weights.
    """
    return min(maximum, (1 + update) / (10 + update))


class RampedAverage(AveragedModel):
    """An average of `model`, buffers (batch norm's mean and variance) included, whose decay ramps up to `maximum`."""

    def __init__(self, model: nn.Module, maximum: float) -> None:
        super().__init__(model, use_buffers=True)
        self.maximum = maximum

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take `model` into the average; the first one is copied.

        torch's own copies the count of updates to the GPU and back at each step, which waits for everything before it.
        """
        updates = int(self.n_averaged)
        old, new = _values(self.module), _values(model)
        floats = [torch.is_floating_point(value) for value in old]
        if updates and any(floats):
            averaged = [value for value, is_float in zip(old, floats, strict=True) if is_float]
            current = [value for value, is_float in zip(new, floats, strict=True) if is_float]
            torch._foreach_lerp_(averaged, current, 1 - decay_at(updates, self.maximum))
        for value, source, is_float in zip(old, new, floats, strict=True):
            if not (updates and is_float):
                value.copy_(source)
        self.n_averaged += 1


def make_ema(model: nn.Module, maximum: float) -> RampedAverage:
    """An average of `model` whose decay is at most `maximum`."""
    return RampedAverage(model, maximum)


def _values(module: nn.Module) -> list[Tensor]:
    return [value.detach() for value in chain(module.parameters(), module.buffers())]
