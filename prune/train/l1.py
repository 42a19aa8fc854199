"""The penalty `l1`: |γ|."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class L1:
    """s · |γ| (Liu et al. 2017, "Network Slimming", section 3). It has no settings beside s."""

    constant_pull: ClassVar[bool] = True

    def gradient(self, gamma: Tensor, s: Tensor) -> Tensor:
        """Its subgradient (C,): s · sign(γ)."""
        return s * gamma.sign()

    def shrunk(self, gamma: Tensor, step: Tensor) -> Tensor:
        """Its proximal operator (C,), the soft threshold: |γ| less by `step`, and not beyond 0."""
        return gamma.sign() * (gamma.abs() - step).clamp_(min=0)
