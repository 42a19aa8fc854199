"""`--s auto`: how strongly each γ is pulled follows from how much is to go and how much of the run is left.

Three things are decided, none of them by a number that depends on the data:

- *which* channels: those of least importance to the loss itself. The importance of a slot is the mean over the steps of
  (Σ γ · ∂loss/∂γ)² over its γ: the square of the change of the loss, to first order, if they became 0 (Molchanov et al.
  2019, "Importance Estimation for Neural Network Pruning", equations 8 and 12). Chosen channels stay chosen.
- *how many* by which epoch: the share rises as 1 − (1 − x)³ (Zhu and Gupta 2017, "To prune, or not to prune", section
  3), so that most go early, the last ones slowly, and those that are left learn in between.
- *how strongly*: of the way that a γ still has to 0, each step takes the part that the rest of the way up to its
  deadline demands. What the loss pulls back is asked for again, more strongly as the deadline approaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prune.errors import UsageError
from prune.graph.channels import ChannelGraph
from prune.plan.budget import Budget
from prune.plan.goal import Goal
from prune.train.distributed import ALONE, World
from prune.train.gammas import Gammas
from prune.train.hooks import StepInfo

PROBE = 0.1
"""The share of the epochs in which importance is only observed."""
DONE = 0.6
"""The share of the epochs after which all that is to go is 0."""
RAMP = 0.1
"""The share of the epochs that a chosen γ has for its way to 0."""
COST_EXPONENT = 0.5
"""Importance is divided by the cost of a slot to this power: 0 counts channels, 1 the loss per parameter, or per
operation where the goal counts these."""
_NEVER = 1e300
STATE = ("chosen", "deadlines", "importance")


class Steering:
    """Strengths that bring the share of a goal to 0 in time.

    `layers`: those whose γ `gammas` contains, in its order. `travels` (steps,): how far a unit gradient moves a weight
    at each step of the run (see `StepInfo`); epochs count from 0. `world`: all of its processes choose the same.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        layers: Sequence[int],
        gammas: Gammas,
        goal: Goal,
        travels: Sequence[float],
        epochs: int,
        world: World = ALONE,
    ) -> None:
        self.graph, self.goal, self.epochs, self.world = graph, goal, epochs, world
        self.ids = np.concatenate([graph.trace.outputs[index] for index in layers])
        self.slots, device = gammas.slots, gammas.slots.device
        count = int(self.slots.max()) + 1
        self.chosen = torch.zeros(count, dtype=torch.bool, device=device)
        self.deadlines = torch.zeros(count, dtype=torch.int64, device=device)  # in epochs
        self.importance = torch.zeros(count, dtype=torch.float64, device=device)
        self.observed = 0
        way = np.concatenate([[0.0], np.cumsum(travels)])
        self.way = torch.from_numpy(way).to(device)
        self.steps_per_epoch = len(travels) // epochs
        self.strongest = torch.zeros((), dtype=torch.float64, device=device)
        self.cost = slot_costs(graph, self.ids, self.slots.cpu().numpy(), goal.budget)

    @property
    def first(self) -> int:
        """The epoch in which channels are chosen for the first time."""
        return min(max(1, round(PROBE * self.epochs)), self.epochs - 1)

    @property
    def done(self) -> int:
        """The epoch before which all that is to go is 0."""
        return min(max(self.first + 1, round(DONE * self.epochs)), self.epochs)

    def start(self, epoch: int, gammas: Gammas) -> None:
        """Choose the channels of this epoch."""
        ramp = max(1, round(RAMP * self.epochs))
        last = max(self.first, self.done - ramp)
        self.strongest.zero_()
        if self.first <= epoch <= last:
            x = (epoch - self.first + 1) / (last - self.first + 1)
            self._choose(1 - (1 - x) ** 3, min(epoch + ramp, self.done), gammas)

    def _choose(self, part: float, deadline: int, gammas: Gammas) -> None:
        """Choose what `part` of the goal takes; what is new has to be 0 at the start of epoch `deadline`."""
        self.world.agree(self.importance)  # a GPU adds up in any order: the last bit could make processes differ
        values = np.full(self.graph.trace.total, _NEVER)
        values[self.ids] = self._ranking(gammas)[self.slots.cpu().numpy()]
        kept = self.graph.kept_ids({mask.group: mask.keep for mask in self.goal.choose(self.graph, values, part)})
        gone = torch.zeros_like(self.chosen)
        gone[self.slots[torch.from_numpy(~kept[self.ids]).to(self.slots.device)]] = True
        self.deadlines[gone & ~self.chosen] = deadline
        self.chosen |= gone
        self.importance.zero_()
        self.observed = 0

    def _ranking(self, gammas: Gammas) -> NDArray[np.float64]:
        """The importance of each slot (S,) for its cost; of chosen ones -1. Nothing observed yet: by γ² alone."""
        found = self.importance / self.observed if self.observed else self._summed(gammas.values().double() ** 2)
        ranking: NDArray[np.float64] = found.cpu().numpy() / self.cost**COST_EXPONENT
        ranking[self.chosen.cpu().numpy()] = -1.0
        return ranking

    def observe(self, gammas: Gammas) -> None:
        """Add the importance of a step."""
        self.importance += self._summed((gammas.values() * gammas.gradients()).double()) ** 2
        self.observed += 1

    def at(self, info: StepInfo, gammas: Gammas) -> Tensor:
        """|γ| over the way that is left up to the deadline, for chosen ones; 0 for the others."""
        ends = (self.deadlines * self.steps_per_epoch).clamp(max=len(self.way) - 1)
        left = (self.way[ends] - self.way[min(info.step, len(self.way) - 1)]).clamp_(min=info.travel)
        pull = torch.where(self.chosen[self.slots], gammas.values().abs().double() / left[self.slots], 0.0)
        self.strongest = torch.maximum(self.strongest, pull.max())
        return pull.to(gammas.parameters[0].dtype)

    def due(self, info: StepInfo) -> Tensor:
        """The chosen ones at their deadline: so the goal is met by penalties that stop short of 0, too."""
        return (self.chosen & (info.step + 1 >= self.deadlines * self.steps_per_epoch))[self.slots]

    def met(self, epoch: int) -> bool:
        """From the epoch on in which the last γ that is to go becomes 0."""
        return epoch + 1 >= self.done

    def facts(self) -> dict[str, float]:
        """The strongest s of the epoch and the share of the γ that are chosen."""
        return {"s": float(self.strongest), "chosen": float(self.chosen[self.slots].double().mean())}

    def state(self) -> dict[str, Any]:
        """What is chosen and observed."""
        return {name: getattr(self, name).cpu().clone() for name in STATE} | {"observed": self.observed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take it back; a checkpoint of a fixed s has none of it, and everything is chosen anew.

        Raises UsageError where it is of other layers.
        """
        if STATE[0] not in state:
            return
        for name in STATE:
            mine, stored = getattr(self, name), state.get(name)
            fits = isinstance(stored, Tensor) and stored.shape == mine.shape and stored.dtype == mine.dtype
            if not fits or not isinstance(state.get("observed"), int):
                raise UsageError(
                    "--resume: the checkpoint chose among other layers; pass its --tie, --protect and so on"
                )
            mine.copy_(stored)
        self.observed = int(state["observed"])

    def _summed(self, values: Tensor) -> Tensor:
        """values (N,) added up by slot (S,)."""
        return torch.zeros_like(self.importance).index_add_(0, self.slots, values)


def slot_costs(
    graph: ChannelGraph, ids: NDArray[np.int64], slots: NDArray[np.int64], budget: Budget
) -> NDArray[np.float64]:
    """What goes with each slot alone (S,), in units of `budget`: of the kernels that write and read its channels."""
    cost = np.zeros(graph.trace.total)
    rates, other = budget.rates(graph)
    for layer in graph.netdef.convolutions:
        read = graph.trace.reads[layer.index]
        taps, per_group = layer.size**2 * rates[layer.index], len(read) // layer.groups
        cost[graph.trace.outputs[layer.index]] += per_group * taps + (4 if layer.batch_normalize else 1) * other
        np.add.at(cost, read, layer.filters // layer.groups * taps)
    found = np.zeros(int(slots.max()) + 1)
    np.add.at(found, slots, cost[ids])
    return found
