"""Penalties that pull γ towards 0 in sparse training, by name: a new one is a file with a class like L1, and a row.

Neither this module nor those of the classes import torch: commands make flags from them before torch is imported.
Their fields must have different names, since each becomes a flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from prune.train.group_lasso import GroupLasso
from prune.train.l1 import L1
from prune.train.polarization import Polarization
from prune.train.proximal_l1 import ProximalL1

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


class Penalty(Protocol):
    """A function of all γ to be minimised; a frozen dataclass of its settings.

    `gammas`, `strengths`, `steps` and the results are vectors (N,): the γ of all layers together. slots (N,) int64,
    from 0: γ of equal slots are pruned together. `constant_pull`: whether it pulls by s regardless of the size of γ, so
    that the reach of s is known before a run. `positive`: whether it needs γ of at least 0.
    """

    constant_pull: ClassVar[bool]
    positive: ClassVar[bool]

    def proximal(self, optimizer: Optimizer) -> bool:
        """Whether with `optimizer` the γ are `shrunk` after each step, instead of adding the `gradient` before it."""
        ...

    def gradient(self, gammas: Tensor, strengths: Tensor, slots: Tensor) -> Tensor:
        """What is added to the unscaled gradients of the loss, for the strength s of each γ."""
        ...

    def shrunk(self, gammas: Tensor, steps: Tensor, slots: Tensor) -> Tensor:
        """The new γ: the proximal operator for `steps` = travel · s (see `StepInfo`)."""
        ...


PENALTIES: dict[str, type[Penalty]] = {
    "l1": L1,
    "prox-l1": ProximalL1,
    "polarization": Polarization,
    "group": GroupLasso,
}
