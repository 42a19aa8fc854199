"""`--s auto`: how strongly each γ is pulled follows from how much is to go and how much of the run is left.

Three things are decided, none of them by a number that depends on the data:

- *which* channels: those of least importance by the loss itself. The importance of a slot is the mean over the steps of
  (Σ γ · ∂loss/∂γ)² over its γ: the square of the change of the loss, to first order, if they became 0 (Molchanov et al.
  2019, "Importance Estimation for Neural Network Pruning", equations 8 and 12). Chosen channels stay chosen.
- *how many* by which epoch: the share rises as 1 − (1 − x)³ (Zhu and Gupta 2017, "To prune, or not to prune", section
  3), so that most go early, the last ones slowly, and those that are left learn in between.
- *how strongly*: of the way that a γ still has to 0, each step takes the part that the rest of the way up to its
  deadline demands. What the loss pulls back is asked for again, more strongly as the deadline approaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prune.graph.channels import ChannelGraph
from prune.plan.budget import Budget
from prune.plan.channel import ChannelPolicy, choose_channels
from prune.train.gammas import Gammas
from prune.train.hooks import StepInfo

PROBE = 0.1
"""The share of the epochs in which importance is only observed."""
DONE = 0.6
"""The share of the epochs after which all that is to go is 0."""
RAMP = 0.1
"""The share of the epochs that a chosen γ has for its way to 0."""
COST_EXPONENT = 0.5
"""Importance is divided by the cost of a slot to this power: 0 counts channels, 1 the loss per parameter."""
FAR = 1e300


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """How much is to become sparse: the share of `budget`, in (0, 1); of each layer at least `layer_keep` is kept."""

    share: float
    budget: Budget
    layer_keep: float = 0.05


class Steering:
    """Strengths that bring the share of a goal to 0 in time.

    `layers`: those whose γ `gammas` contains, in its order. `travels` (steps,): how far a unit gradient moves a weight
    at each step of the run (see `StepInfo`); epochs count from 0.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        layers: Sequence[int],
        gammas: Gammas,
        goal: Goal,
        travels: Sequence[float],
        epochs: int,
    ) -> None:
        self.graph, self.goal, self.epochs = graph, goal, epochs
        self.ids = np.concatenate([graph.trace.outputs[index] for index in layers])
        self.slots = gammas.slots
        count = int(gammas.slots.max()) + 1
        self.chosen = torch.zeros(count, dtype=torch.bool)
        self.deadlines = torch.zeros(count, dtype=torch.int64)  # in epochs
        self.importance = torch.zeros(count, dtype=torch.float64)
        self.observed = 0
        self.way = torch.cat(
            [torch.zeros(1, dtype=torch.float64), torch.tensor(travels, dtype=torch.float64).cumsum(0)]
        )
        self.steps_per_epoch = len(travels) // epochs
        self.strongest, self.cost = 0.0, slot_costs(graph, self.ids, self.slots.cpu().numpy())

    def start(self, epoch: int, gammas: Gammas) -> None:
        """Choose the channels of this epoch."""
        first = min(max(1, round(PROBE * self.epochs)), self.epochs - 1)
        ramp = max(1, round(RAMP * self.epochs))
        done = max(first + 1, round(DONE * self.epochs))
        last = max(first, done - ramp)
        self.strongest = 0.0
        if first <= epoch <= last:
            x = (epoch - first + 1) / (last - first + 1)
            self._choose(self.goal.share * (1 - (1 - x) ** 3), min(epoch + ramp, done))

    def _choose(self, share: float, deadline: int) -> None:
        importance = (self.importance / max(1, self.observed)).numpy() / self.cost**COST_EXPONENT
        importance[self.chosen.numpy()] = -1.0
        values = np.full(self.graph.trace.total, FAR)
        values[self.ids] = importance[self.slots.cpu().numpy()]
        policy = ChannelPolicy(percent=share, rule="share", layer_keep=self.goal.layer_keep)
        masks = choose_channels(self.graph, values, policy, self.goal.budget)
        kept = self.graph.kept_ids({mask.group: mask.keep for mask in masks})
        gone = torch.zeros_like(self.chosen)
        gone[self.slots[torch.from_numpy(~kept[self.ids])]] = True
        self.deadlines[gone & ~self.chosen] = deadline
        self.chosen |= gone
        self.importance.zero_()
        self.observed = 0

    def observe(self, gammas: Gammas) -> None:
        """Add the importance of a step."""
        change = (gammas.values() * gammas.gradients()).double()
        self.importance += torch.zeros_like(self.importance).index_add_(0, self.slots, change).square_()
        self.observed += 1

    def at(self, info: StepInfo, gammas: Gammas) -> Tensor:
        """|γ| over the way that is left up to the deadline, for chosen ones; 0 for the others."""
        ends = (self.deadlines * self.steps_per_epoch).clamp(max=len(self.way) - 1)
        left = (self.way[ends] - self.way[min(info.step, len(self.way) - 1)]).clamp_(min=info.travel)[self.slots]
        pull = torch.where(self.chosen[self.slots], gammas.values().abs().double() / left, 0.0)
        self.strongest = max(self.strongest, float(pull.max()))
        return pull.to(gammas.parameters[0].dtype)

    def facts(self) -> dict[str, float]:
        """The strongest s of the epoch and the share of the γ that are chosen."""
        return {"s": self.strongest, "chosen": float(self.chosen[self.slots].double().mean())}

    def state(self) -> dict[str, Any]:
        """What is chosen and observed."""
        return {
            "chosen": self.chosen.clone(),
            "deadlines": self.deadlines.clone(),
            "importance": self.importance.clone(),
            "observed": self.observed,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take it back; a checkpoint of a fixed s has none of it, and everything is chosen anew."""
        if "chosen" in state:
            self.chosen, self.deadlines = state["chosen"].clone(), state["deadlines"].clone()
            self.importance, self.observed = state["importance"].clone(), int(state["observed"])


def slot_costs(graph: ChannelGraph, ids: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.float64]:
    """The parameters that go with each slot alone (S,): the kernels that write and read its channels."""
    cost = np.zeros(graph.trace.total)
    for layer in graph.netdef.convolutions:
        read = graph.trace.reads[layer.index]
        taps, per_group = layer.size**2, len(read) // layer.groups
        cost[graph.trace.outputs[layer.index]] += per_group * taps + (4 if layer.batch_normalize else 1)
        np.add.at(cost, read, layer.filters // layer.groups * taps)
    found = np.zeros(int(slots.max()) + 1)
    np.add.at(found, slots, cost[ids])
    return found
