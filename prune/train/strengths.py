"""The strength of the penalty on each gamma, by epoch and mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from prune.train.gamma import is_late
from prune.train.gammas import Gammas
from prune.train.hooks import StepInfo
from prune.train.settings import SparsitySettings


class Strengths(Protocol):
    """How strongly each γ is pulled, from step to step. Vectors are (N,), in the order of `Gammas`."""

    def start(self, epoch: int, gammas: Gammas) -> None:
        """Called before the first step of `epoch` (from 0)."""
        ...

    def observe(self, gammas: Gammas) -> None:
        """Called before each step, with the gradients of the loss alone."""
        ...

    def at(self, info: StepInfo, gammas: Gammas) -> Tensor:
        """The s of every γ (N,) in this step."""
        ...

    def due(self, info: StepInfo) -> Tensor | None:
        """Which γ (N,) have to be 0 after this step; None: none."""
        ...

    def met(self, epoch: int) -> bool:
        """Whether after `epoch` the network is as sparse as it is to be."""
        ...

    def facts(self) -> dict[str, float]:
        """Columns of results.csv after an epoch; the same keys every time."""
        ...

    def state(self) -> dict[str, Any]:
        """What has to be remembered from epoch to epoch."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take a `state` back."""
        ...


class Scheduled:
    """The three modes of `strengths`, set anew at each epoch's start."""

    def __init__(self, settings: SparsitySettings, epochs: int) -> None:
        self.settings, self.epochs = settings, epochs
        self.values = torch.zeros(0)

    def start(self, epoch: int, gammas: Gammas) -> None:
        self.values = strengths(gammas.values(), epoch, self.epochs, self.settings)

    def observe(self, gammas: Gammas) -> None:
        pass

    def at(self, info: StepInfo, gammas: Gammas) -> Tensor:
        return self.values

    def due(self, info: StepInfo) -> None:
        return None

    def met(self, epoch: int) -> bool:
        return True

    def facts(self) -> dict[str, float]:
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        pass


def strengths(gammas: Tensor, epoch: int, epochs: int, settings: SparsitySettings) -> Tensor:
    """The s of every gamma (N,) in `epoch` (from 0).

    constant: s. global-decay: s while epoch <= decay_at*epochs, s*alpha after. local-decay: after that point
    the `local_percent` of all gammas with the smallest |gamma| (of equal ones, the first) keep s, the rest
    get s*alpha.
    """
    if settings.sr_mode == "constant" or not is_late(epoch, epochs, settings):
        return torch.full_like(gammas, settings.given_s)
    values = torch.full_like(gammas, settings.given_s * settings.alpha)
    if settings.sr_mode == "local-decay":
        kept = int(settings.local_percent * gammas.numel() + 1e-9)
        values[torch.argsort(gammas.abs(), stable=True)[:kept]] = settings.given_s
    return values
