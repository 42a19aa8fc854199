"""What pulls γ towards 0 in sparse training, by name: a new penalty is a file with a class like L1, and a row.

No torch here, nor where these classes are defined: commands make flags from them before torch is imported. Their
fields must have different names, since each becomes a flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from prune.train.l1 import L1

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


class Penalty(Protocol):
    """A function of all γ together to be made small; a frozen dataclass of its own settings.

    `gammas`, `strengths` and `steps` hold a tensor (C,) per layer, and so do the results. `constant_pull`: whether it
    pulls by s whatever the size of γ, so that the reach of s is known before a run.
    """

    constant_pull: ClassVar[bool]

    def proximal(self, optimizer: Optimizer) -> bool:
        """Whether with `optimizer` the γ are `shrunk` after each step, and not `gradients` added before it."""
        ...

    def gradients(self, gammas: Sequence[Tensor], strengths: Sequence[Tensor]) -> list[Tensor]:
        """What joins the gradients of the loss, unscaled, at the strengths s of each γ."""
        ...

    def shrunk(self, gammas: Sequence[Tensor], steps: Sequence[Tensor]) -> list[Tensor]:
        """What the γ become: the proximal operator for `steps` = lr · s."""
        ...


PENALTIES: dict[str, type[Penalty]] = {"l1": L1}
