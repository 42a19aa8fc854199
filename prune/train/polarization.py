"""The penalty `polarization`: pulls γ below their mean to 0 and leaves the others large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from prune.settings import POSITIVE, check_options, option

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Polarization:
    """s · (t · ‖γ‖₁ − ‖γ − mean(γ)‖₁) with γ kept in [0, limit]; the mean is over all γ that it acts on.

    Zhuang et al. 2020, "Neuron-level Structured Pruning using Polarization Regularizer", equations 2 and 6. The γ have
    to be of one size and positive before it starts (--equalize).
    """

    constant_pull: ClassVar[bool] = False
    positive: ClassVar[bool] = True
    polarize: float = option(1.2, "polarization: t; the larger, the more γ become 0", metavar="X", within=POSITIVE)
    gamma_limit: float = option(1.5, "polarization: γ are kept in [0, this]", metavar="X", within=POSITIVE)

    def __post_init__(self) -> None:
        check_options(self)

    def proximal(self, optimizer: Optimizer) -> bool:
        """With all optimisers: what crosses 0 is kept there."""
        return True

    def gradient(self, gammas: Tensor, strengths: Tensor, slots: Tensor) -> Tensor:
        """s · (t · sign(γ) − sign(γ − mean) + mean of sign(γ − mean))."""
        side = (gammas - gammas.mean()).sign()
        return strengths * (self.polarize * gammas.sign() - side + side.mean())

    def shrunk(self, gammas: Tensor, steps: Tensor, slots: Tensor) -> Tensor:
        """A step along the gradient, and back into [0, limit]."""
        return (gammas - self.gradient(gammas, steps, slots)).clamp_(0, self.gamma_limit)
