"""The strength of the penalty on each gamma, by epoch and mode."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prune.train.gamma import is_late
from prune.train.settings import SparsitySettings


def strengths(gammas: Sequence[Tensor], epoch: int, epochs: int, settings: SparsitySettings) -> list[Tensor]:
    """The s of every gamma in `epoch` (from 0), one tensor per layer.

    constant: s. global-decay: s while epoch <= decay_at*epochs, then s*alpha. local-decay: after that point the
    `local_percent` of all gammas with the smallest |gamma| (of equal ones, the first) keep s, the others get s*alpha.
    """
    if settings.sr_mode == "constant" or not is_late(epoch, epochs, settings):
        return [torch.full_like(g, settings.s) for g in gammas]
    if settings.sr_mode == "global-decay":
        return [torch.full_like(g, settings.s * settings.alpha) for g in gammas]
    flat = torch.cat([g.detach().abs().flatten() for g in gammas])
    kept = int(settings.local_percent * flat.numel() + 1e-9)
    values = torch.full_like(flat, settings.s * settings.alpha)
    values[torch.argsort(flat, stable=True)[:kept]] = settings.s
    return list(values.split([g.numel() for g in gammas]))  # type: ignore[no-untyped-call]
