"""The penalty `prox-l1`: |γ| by its proximal operator, so that γ become exactly 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class ProximalL1:
    """s · |γ| (Liu et al. 2017, "Network Slimming", section 3) as a soft threshold after each step of any optimiser.

    (Daubechies et al. 2004, "An iterative thresholding algorithm for linear inverse problems with a sparsity
    constraint", section 2.) It has no settings beside s.
    """

    constant_pull: ClassVar[bool] = True
    positive: ClassVar[bool] = False

    def proximal(self, optimizer: Optimizer) -> bool:
        """With all optimisers."""
        return True

    def gradient(self, gammas: Tensor, strengths: Tensor, slots: Tensor) -> Tensor:
        """The subgradient s · sign(γ)."""
        return strengths * gammas.sign()

    def shrunk(self, gammas: Tensor, steps: Tensor, slots: Tensor) -> Tensor:
        """The soft threshold: |γ| less by its step, and not beyond 0."""
        return gammas.sign() * (gammas.abs() - steps).clamp_(min=0)
