"""Sparse training: a penalty on the gammas that may be pruned, as a hook of the training loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from prune.errors import UsageError
from prune.graph.channels import ChannelGraph
from prune.train.gamma import GammaHistory, is_late, magnitudes, measure_reach, resume_history, shares_below
from prune.train.hooks import Hook, StepInfo
from prune.train.penalties import PENALTIES, Penalty
from prune.train.schedule import make_schedule
from prune.train.settings import SparsitySettings
from prune.train.strengths import strengths

if TYPE_CHECKING:
    from prune.train.session import Session

logger = logging.getLogger(__name__)


class SparsityHook(Hook):
    """Adds the penalty's gradient to that of the gammas before each step, or shrinks the gammas after it.

    `norms`: the batch norms to sparsify. `penalty`: None means the one named in the settings, with its defaults.
    """

    def __init__(
        self,
        norms: Sequence[nn.BatchNorm2d],
        settings: SparsitySettings,
        epochs: int,
        history: GammaHistory | None = None,
        penalty: Penalty | None = None,
    ) -> None:
        if not norms:
            raise ValueError("no batch norm to sparsify")
        self.gammas = [norm.weight for norm in norms]
        self.settings, self.epochs, self.history = settings, epochs, history
        self.penalty = penalty or PENALTIES[settings.penalty]()
        self.strengths = strengths(self.gammas, 0, epochs, settings)

    def epoch_start(self, epoch: int) -> None:
        """Update the strengths, once per epoch."""
        self.strengths = strengths(self.gammas, epoch, self.epochs, self.settings)

    @torch.no_grad()
    def before_step(self, info: StepInfo) -> None:
        """Add the penalty's gradient to that of the loss, which is already unscaled and clipped."""
        if not self.penalty.proximal(info.optimizer):
            terms = self.penalty.gradients(self.gammas, self.strengths)
            for gamma, term in zip(self.gammas, terms, strict=True):
                gamma.grad = term if gamma.grad is None else gamma.grad.add_(term)

    @torch.no_grad()
    def after_step(self, info: StepInfo) -> None:
        """Apply the proximal operator of lr * s * penalty to the gammas, where the penalty works that way."""
        if self.penalty.proximal(info.optimizer):
            shrunk = self.penalty.shrunk(self.gammas, [info.lr * s for s in self.strengths])
            for gamma, value in zip(self.gammas, shrunk, strict=True):
                gamma.copy_(value)

    def epoch_end(self, epoch: int) -> dict[str, float]:
        """The shares of gammas below thresholds; the histogram is added to the history."""
        values = magnitudes(self.gammas)
        if self.history is not None:
            self.history.append(epoch, values)
        return shares_below(values)

    def snapshot_name(self, epoch: int) -> str | None:
        """mid.pt after the last epoch before the decay."""
        last = epoch == self.epochs - 1 or is_late(epoch + 1, self.epochs, self.settings)
        return "mid.pt" if last and not is_late(epoch, self.epochs, self.settings) else None


def sparsify(
    session: Session, graph: ChannelGraph, settings: SparsitySettings, penalty: Penalty | None = None
) -> SparsityHook:
    """The hook for the batch norms of the prunable layers of `graph`; logs the reach of s before training starts.

    `penalty`: None means the one named in the settings, with its defaults.

    Frozen layers are excluded: their γ must not change. Raises UsageError if there is no prunable layer, or all of
    them are frozen.
    """
    layers, scope = graph.prunable_layers, graph.scope
    if not layers:
        also = " and these --keep-layers" if scope.keep else ""
        raise UsageError(f"{session.netdef.path}: no layer can be pruned with --tie {scope.tie}{also}")
    norms = [norm for norm in map(session.model.bn_of, layers) if norm.weight.requires_grad]
    if not norms:
        raise UsageError(f"{session.netdef.path}: all prunable layers are frozen; lower --freeze")
    if len(norms) < len(layers):
        logger.info(
            "%s acts on %d of %d layers; the others are frozen", settings.penalty.upper(), len(norms), len(layers)
        )
    history = resume_history(session.job.out / "gamma_history.npz", session.first_epoch if session.job.continues else 0)
    penalty = penalty or PENALTIES[settings.penalty]()
    if penalty.constant_pull:
        report_reach(session, norms, settings)
    kept = history if session.world.writes else None
    return SparsityHook(norms, settings, session.job.train.epochs, kept, penalty)


def report_reach(session: Session, norms: Sequence[nn.BatchNorm2d], settings: SparsitySettings) -> None:
    """Log how far s can move a gamma in the remaining steps, and the gammas' quantiles; warn if it is not enough."""
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
