"""The penalty `group`: the norm of all γ that are pruned together, so that they become 0 together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLasso:
    """s · √k · ‖γ‖₂ over the k γ of each slot of a prune group (Yuan and Lin 2006, "Model selection and estimation in
    regression with grouped variables", equation 3).

    A channel can be cut only where all γ that a shortcut ties to it are 0: l1 makes one of them 0 and leaves the
    others. Of a slot with one γ it is l1. It has no settings beside s.
    """

    constant_pull: ClassVar[bool] = True
    positive: ClassVar[bool] = False

    def proximal(self, optimizer: Optimizer) -> bool:
        """With all optimisers: its gradient at 0 has no direction."""
        return True

    def gradient(self, gammas: Tensor, strengths: Tensor, slots: Tensor) -> Tensor:
        """s · √k · γ / ‖γ‖₂, and 0 where the slot is 0."""
        norm, weight = self._norms(gammas, slots)
        return strengths * weight * gammas / norm.clamp(min=1e-12)

    def shrunk(self, gammas: Tensor, steps: Tensor, slots: Tensor) -> Tensor:
        """The block soft threshold: ‖γ‖₂ of a slot less by √k times its mean step, and not beyond 0."""
        norm, weight = self._norms(gammas, slots)
        step = _summed(steps, slots)[slots] / weight**2  # a mean, so that a slot shrinks as one
        return gammas * (1 - step * weight / norm.clamp(min=1e-12)).clamp_(min=0)

    def _norms(self, gammas: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """‖γ‖₂ and √k of the slot of each γ, (N,) both."""
        count = _summed(gammas.new_ones(gammas.shape), slots)
        return _summed(gammas**2, slots).sqrt()[slots], count.sqrt()[slots]


def _summed(values: Tensor, slots: Tensor) -> Tensor:
    """values (N,) added up by slot."""
    return values.new_zeros(int(slots.max()) + 1).index_add_(0, slots, values)
