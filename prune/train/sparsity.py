"""Sparse training: a penalty on the gammas that may be pruned, as a hook of the training loop."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from prune.errors import UsageError
from prune.graph.channels import ChannelGraph
from prune.plan.amount import Amount
from prune.plan.budget import CHANNELS
from prune.plan.goal import Goal, reachable_goal
from prune.plan.target import MEASURES
from prune.train.equalizing import equalize_session
from prune.train.gamma import GammaHistory, is_late, magnitudes, measure_reach, resume_history, shares_below
from prune.train.gammas import Gammas
from prune.train.hooks import Hook, StepInfo
from prune.train.penalties import PENALTIES, Penalty
from prune.train.settings import DEFAULT_TARGET, SparsitySettings
from prune.train.steering import Steering
from prune.train.strengths import Scheduled, Strengths

if TYPE_CHECKING:
    from prune.train.session import Session

logger = logging.getLogger(__name__)


class SparsityHook(Hook):
    """Adds the penalty's gradient to that of the gammas before each step, or shrinks the gammas after it.

    `penalty`: None means the one named in the settings, with its defaults. `strengths`: None means the settings' mode.
    `goal`: what is to become sparse, if that is known.
    """

    name = "sparsity"

    def __init__(
        self,
        gammas: Gammas,
        settings: SparsitySettings,
        epochs: int,
        history: GammaHistory | None = None,
        penalty: Penalty | None = None,
        strengths: Strengths | None = None,
        goal: Goal | None = None,
    ) -> None:
        self.gammas, self.goal = gammas, goal
        self.settings, self.epochs, self.history = settings, epochs, history
        self.penalty = penalty or PENALTIES[settings.penalty]()
        self.strengths = strengths or Scheduled(settings, epochs)
        self.strengths.start(0, gammas)

    def epoch_start(self, epoch: int) -> None:
        """Update the strengths, once per epoch."""
        self.strengths.start(epoch, self.gammas)

    @torch.no_grad()
    def before_step(self, info: StepInfo) -> None:
        """Add the penalty's gradient to that of the loss, which is already unscaled and clipped."""
        self.strengths.observe(self.gammas)
        if not self.penalty.proximal(info.optimizer):
            pull = self.strengths.at(info, self.gammas)
            self.gammas.add_gradient(self.penalty.gradient(self.gammas.values(), pull, self.gammas.slots))

    @torch.no_grad()
    def after_step(self, info: StepInfo) -> None:
        """Apply the proximal operator of travel * s * penalty to the gammas, where the penalty works that way."""
        if self.penalty.proximal(info.optimizer):
            steps = info.travel * self.strengths.at(info, self.gammas)
            self.gammas.write(self.penalty.shrunk(self.gammas.values(), steps, self.gammas.slots))
        if (due := self.strengths.due(info)) is not None:
            self.gammas.write(self.gammas.values().masked_fill_(due, 0.0))

    def epoch_end(self, epoch: int) -> dict[str, float]:
        """The shares of gammas below thresholds; the histogram is added to the history."""
        values = magnitudes(self.gammas.parameters)
        if self.history is not None:
            self.history.append(epoch, values)
        return shares_below(values) | self.strengths.facts()

    @torch.no_grad()
    def settle(self, model: nn.Module, averaged: nn.Module) -> None:
        """A gamma that is exactly 0 is 0 in the averaged network, too: the average still contains what it was."""
        own = {id(parameter) for parameter in self.gammas.parameters}
        for parameter, average in zip(model.parameters(), averaged.parameters(), strict=True):
            if id(parameter) in own:
                average.masked_fill_(parameter == 0, 0.0)

    def counts(self, epoch: int) -> bool:
        """The best network is one of those that are sparse already."""
        return self.strengths.met(epoch)

    def state(self) -> dict[str, Any]:
        """The penalty's name and what the strengths remember."""
        return {"penalty": self.settings.penalty, **self.strengths.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises UsageError where the checkpoint is of another penalty."""
        before = state.get("penalty", self.settings.penalty)
        if before != self.settings.penalty:
            raise UsageError(f"--resume: the checkpoint was trained with --penalty {before}; pass that")
        self.strengths.restore(state)

    def snapshot_name(self, epoch: int) -> str | None:
        """mid.pt after the last epoch before the decay."""
        last = epoch == self.epochs - 1 or is_late(epoch + 1, self.epochs, self.settings)
        return "mid.pt" if last and not is_late(epoch, self.epochs, self.settings) else None


def sparsify(
    session: Session, graph: ChannelGraph, settings: SparsitySettings, penalty: Penalty | None = None
) -> SparsityHook:
    """The hook for the batch norms of the prunable layers of `graph`; equalizes and reports before training starts.

    `penalty`: None means the one named in the settings, with its defaults.

    Frozen layers are excluded: their γ must not change. Raises UsageError if there is no prunable layer, all of them
    are frozen, or the target cannot be reached.
    """
    layers = _trained_layers(session, graph, settings)
    penalty = penalty or PENALTIES[settings.penalty]()
    if settings.equalize and not session.resumed:
        equalize_session(session, graph, required=settings.s is not None)
    gammas = Gammas([session.model.bn_of(index) for index in layers], slots_of(graph, layers))
    strengths: Steering | None = None
    if settings.s is None:
        strengths = steer(session, graph, layers, gammas, settings)
    elif penalty.constant_pull:
        report_reach(session, gammas, settings)
    if penalty.positive and bool((gammas.values() < 0).any()):
        raise UsageError(f"--penalty {settings.penalty} needs gammas of at least 0: pass --equalize")
    history = resume_history(session.job.out / "gamma_history.npz", session.first_epoch if session.job.continues else 0)
    kept = history if session.world.writes else None
    goal = strengths.goal if strengths else None
    return SparsityHook(gammas, settings, session.job.train.epochs, kept, penalty, strengths, goal)


def _trained_layers(session: Session, graph: ChannelGraph, settings: SparsitySettings) -> list[int]:
    layers, scope = graph.prunable_layers, graph.scope
    if not layers:
        also = " and these --keep-layers" if scope.keep else ""
        raise UsageError(f"{session.netdef.path}: no layer can be pruned with --tie {scope.tie}{also}")
    trained = [index for index in layers if session.model.bn_of(index).weight.requires_grad]
    if not trained:
        raise UsageError(f"{session.netdef.path}: all prunable layers are frozen; lower --freeze")
    if len(trained) < len(layers):
        logger.info("%s acts on %d of %d layers; the others are frozen", settings.penalty, len(trained), len(layers))
    return trained


def slots_of(graph: ChannelGraph, layers: Sequence[int]) -> torch.Tensor:
    """Of the γ of some layers the numbers of the slots (N,), from 0: those of equal number are pruned together."""
    ids = np.concatenate([graph.trace.outputs[index] for index in layers])
    slots = graph.group_of[ids] * (int(graph.slot_of.max()) + 1) + graph.slot_of[ids]
    return torch.from_numpy(np.unique(slots, return_inverse=True)[1])


def steer(
    session: Session, graph: ChannelGraph, layers: Sequence[int], gammas: Gammas, settings: SparsitySettings
) -> Steering:
    """The strengths of --s auto; reports what is to become sparse by when. Raises UsageError where that cannot be
    reached."""
    train, schedule = session.job.train, session.schedule()
    goal, name = goal_of(graph, settings)
    at = schedule.travel if train.optimizer == "sgd" else schedule.lr_at
    travels = [at(step) for step in range(schedule.steps)]
    steering = Steering(graph, layers, gammas, goal, travels, train.epochs, session.world)
    logger.info(
        "s auto: channels with %.1f %% of the %s become sparse in epochs %d to %d of %d, chosen by the gradients",
        100 * goal.share,
        name,
        steering.first,
        steering.done - 1,
        train.epochs,
    )
    return steering


def goal_of(graph: ChannelGraph, settings: SparsitySettings) -> tuple[Goal, str]:
    """The goal of --s auto and what it counts. Raises UsageError where it cannot be reached."""
    if settings.target_percent is not None:
        share = settings.target_percent * graph.channels(graph.prunable_layers) / graph.channels(graph.cbl)
        return reachable_goal(graph, CHANNELS, Amount(1 - share, relative=True), "--target-percent"), "channels"
    name, amount = next(iter(settings.targets().items()), ("params", DEFAULT_TARGET))
    measure = MEASURES[name]
    return reachable_goal(graph, measure.budget(None), amount, measure.flag, measure.unit), measure.name


def report_reach(session: Session, gammas: Gammas, settings: SparsitySettings) -> None:
    """Log how far s can move a gamma in the remaining steps, and the gammas' quantiles; warn if it is not enough."""
    train, schedule = session.job.train, session.schedule()
    reach = measure_reach(
        magnitudes(gammas.parameters),
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
