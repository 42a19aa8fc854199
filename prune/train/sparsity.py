"""Sparse training: L1 on the gammas that may be pruned, as a hook of the training loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import SGD

from prune.errors import UsageError
from prune.graph.channels import ChannelGraph
from prune.train.gamma import GammaHistory, is_late, magnitudes, measure_reach, resume_history, shares_below
from prune.train.hooks import Hook, StepInfo
from prune.train.schedule import make_schedule
from prune.train.settings import SparsitySettings

if TYPE_CHECKING:
    from prune.train.session import Session

logger = logging.getLogger(__name__)


def strengths(gammas: Sequence[Tensor], epoch: int, epochs: int, settings: SparsitySettings) -> list[Tensor]:
    """The s of every gamma in `epoch` (from 0), one tensor per layer.

    constant: s. global-decay: s while epoch <= decay_at*epochs, s*alpha after. local-decay: after that point
    the `local_percent` of all gammas with the smallest |gamma| (the earlier of equal ones) keep s, the rest
    get s*alpha.
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


class SparsityHook(Hook):
    """Adds s_i * sign(gamma_i) to each gradient, or shrinks gamma by lr * s_i where the optimiser is not SGD.

    An adaptive optimiser would divide the gradient term by its own second moment and so undo the balance
    between s and the loss; the proximal step (soft threshold) does not pass through it. `norms`: the batch
    norms to sparsify.
    """

    def __init__(
        self,
        norms: Sequence[nn.BatchNorm2d],
        settings: SparsitySettings,
        epochs: int,
        history: GammaHistory | None = None,
    ) -> None:
        if not norms:
            raise ValueError("no batch norm to sparsify")
        self.gammas = [norm.weight for norm in norms]
        self.settings, self.epochs, self.history = settings, epochs, history
        self.strengths = strengths(self.gammas, 0, epochs, settings)

    def epoch_start(self, epoch: int) -> None:
        """Rank the gammas, once per epoch."""
        self.strengths = strengths(self.gammas, epoch, self.epochs, self.settings)

    @torch.no_grad()
    def before_step(self, info: StepInfo) -> None:
        """SGD: the subgradient of L1 joins the gradient, which is already unscaled and clipped."""
        if isinstance(info.optimizer, SGD):
            for gamma, s in zip(self.gammas, self.strengths, strict=True):
                term = s * gamma.sign()
                gamma.grad = term if gamma.grad is None else gamma.grad.add_(term)

    @torch.no_grad()
    def after_step(self, info: StepInfo) -> None:
        """Other optimisers: the proximal operator of lr * s * |gamma|."""
        if not isinstance(info.optimizer, SGD):
            for gamma, s in zip(self.gammas, self.strengths, strict=True):
                gamma.copy_(gamma.sign() * (gamma.abs() - info.lr * s).clamp_(min=0))

    def epoch_end(self, epoch: int) -> dict[str, float]:
        """The shares of gammas under thresholds; the histogram goes to the history."""
        values = magnitudes(self.gammas)
        if self.history is not None:
            self.history.append(epoch, values)
        return shares_below(values)

    def keep_copy(self, epoch: int) -> str | None:
        """mid.pt after the last epoch before the decay."""
        last = epoch == self.epochs - 1 or is_late(epoch + 1, self.epochs, self.settings)
        return "mid.pt" if last and not is_late(epoch, self.epochs, self.settings) else None


def sparsify(session: Session, graph: ChannelGraph, settings: SparsitySettings) -> SparsityHook:
    """The hook for the batch norms that `graph` lets be pruned; logs the reach of s before training starts.

    Frozen layers are left out: their γ must not move. Raises UsageError where there is no layer that may be pruned,
    or all of them are frozen.
    """
    layers, scope = graph.prune, graph.scope
    if not layers:
        kept = " and these --keep-layers" if scope.keep else ""
        raise UsageError(f"{session.netdef.path}: no layer may be pruned with --tie {scope.tie}{kept}")
    norms = [norm for norm in map(session.model.bn_of, layers) if norm.weight.requires_grad]
    if not norms:
        raise UsageError(f"{session.netdef.path}: all layers that may be pruned are frozen; lower --freeze")
    if len(norms) < len(layers):
        logger.info("L1 acts on %d of %d layers, the others are frozen", len(norms), len(layers))
    history = resume_history(session.job.out / "gamma_history.npz", session.first_epoch if session.job.continues else 0)
    tell_reach(session, norms, settings)
    return SparsityHook(norms, settings, session.job.train.epochs, history if session.world.writes else None)


def tell_reach(session: Session, norms: Sequence[nn.BatchNorm2d], settings: SparsitySettings) -> None:
    """Log how far s moves a gamma in the steps to come beside where the gammas are; warn where it is not
    enough.
    """
    train = session.job.train
    schedule = make_schedule(train, math.ceil(len(session.batches) / train.accumulate))
    reach = measure_reach(
        magnitudes([norm.weight for norm in norms]),
        schedule,
        settings,
        epochs=train.epochs,
        first_step=session.first_epoch * schedule.steps_per_epoch,
        adaptive=train.optimizer != "sgd",
    )
    for line in reach.lines():
        logger.info("%s", line)
    if reach.travel > 0 and not reach.enough:
        logger.warning("%s", reach.warning())
