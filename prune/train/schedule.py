"""Learning rate and momentum as functions of the step: linear warm-up, then a cosine.

No state is kept between steps, so that a resumed run continues exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from prune.train.settings import TrainSettings

START_MOMENTUM = 0.8  # while the learning rate warms up, gradients become outdated faster: average over fewer


@dataclass(frozen=True, slots=True)
class Schedule:
    """`steps` updates in total, the first `warmup` of which are the warm-up. Steps count from 0."""

    steps: int
    steps_per_epoch: int
    warmup: int
    lr: float
    lr_final: float
    momentum: float

    def lr_at(self, step: int) -> float:
        """Linear from lr/warmup up to `lr`, then half a cosine down to `lr * lr_final` at the last step."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - 1 - self.warmup)
        share = self.lr_final + (1 - self.lr_final) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
        return self.lr * share

    def momentum_at(self, step: int) -> float:
        """Linear from START_MOMENTUM (or `momentum`, if less) up to `momentum` during the warm-up."""
        if step >= self.warmup:
            return self.momentum
        start = min(START_MOMENTUM, self.momentum)
        return start + (self.momentum - start) * (step + 1) / self.warmup

    def travel(self, step: int) -> float:
        """How far SGD eventually moves a weight for a unit gradient at `step`: lr / (1 - momentum)."""
        return self.lr_at(step) / (1 - self.momentum_at(step))


def make_schedule(settings: TrainSettings, steps_per_epoch: int) -> Schedule:
    """The schedule of a run; the warm-up is at most a tenth of it, so that short runs learn as well."""
    steps = settings.epochs * steps_per_epoch
    warmup = min(round(settings.warmup * steps_per_epoch), steps // 10)
    return Schedule(steps, steps_per_epoch, warmup, settings.top_lr, settings.lr_final, settings.momentum)
