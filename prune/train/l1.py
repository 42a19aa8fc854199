"""The penalty `l1`: |γ|."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class L1:
    """s · |γ| (Liu et al. 2017, "Network Slimming", section 3). It has no settings other than s.

    An adaptive optimiser would divide a gradient term by its second-moment estimate and so destroy the balance between
    s and the loss; the proximal step (soft threshold) bypasses it.
    """

    constant_pull: ClassVar[bool] = True
    positive: ClassVar[bool] = False

    def proximal(self, optimizer: Optimizer) -> bool:
        """With all optimisers except SGD."""
        from torch.optim import SGD  # torch is imported only after the arguments are parsed

        return not isinstance(optimizer, SGD)

    def gradient(self, gammas: Tensor, strengths: Tensor, slots: Tensor) -> Tensor:
        """The subgradients s · sign(γ)."""
        return strengths * gammas.sign()

    def shrunk(self, gammas: Tensor, steps: Tensor, slots: Tensor) -> Tensor:
        """The soft threshold: |γ| reduced by its step, but not below 0."""
        return gammas.sign() * (gammas.abs() - steps).clamp_(min=0)
