"""The penalty `l1`: |γ|."""

from __future__ import annotations

from collections.abc import Sequence
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

    def proximal(self, optimizer: Optimizer) -> bool:
        """With all optimisers except SGD."""
        from torch.optim import SGD  # torch is imported only after the arguments are parsed

        return not isinstance(optimizer, SGD)

    def gradients(self, gammas: Sequence[Tensor], strengths: Sequence[Tensor]) -> list[Tensor]:
        """The subgradients s · sign(γ)."""
        return [s * gamma.sign() for gamma, s in zip(gammas, strengths, strict=True)]

    def shrunk(self, gammas: Sequence[Tensor], steps: Sequence[Tensor]) -> list[Tensor]:
        """The soft threshold: |γ| reduced by its step, but not below 0."""
        return [gamma.sign() * (gamma.abs() - step).clamp_(min=0) for gamma, step in zip(gammas, steps, strict=True)]
