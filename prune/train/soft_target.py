"""The strategy `soft-target`: the targets are the teacher's softened scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prune.darknet.layers import Head
from prune.settings import POSITIVE, check_options, option

if TYPE_CHECKING:
    from torch import Tensor

    from prune.train.hooks import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftTarget:
    """Divergence of the class and objectness outputs, each cell weighted by the teacher's objectness."""

    temperature: float = option(2.0, "soft-target: temperature that softens the scores", metavar="X", within=POSITIVE)

    def __post_init__(self) -> None:
        check_options(self)

    def loss(self, student: list[Tensor], teacher: list[Tensor], heads: Sequence[Head], batch: Batch) -> Tensor:
        """Raw (B, A*(entries + C), H, W) → (), a mean per object the teacher detects (the sum is divided by that of the
        weights).

        Most cells are background for both networks: unweighted they would drown out the few that carry the
        teacher's knowledge.
        """
        from prune.train.divergence import divergences  # torch is imported only after the arguments are parsed

        total, weight_sum = student[0].new_zeros(()), student[0].new_zeros(())
        for ours, theirs, head in zip(student, teacher, heads, strict=True):
            weight, objectness, classes = divergences(ours, theirs, head, self.temperature)
            total = total + (weight * (objectness + classes)).sum()
            weight_sum = weight_sum + weight.sum()
        return total / weight_sum.clamp_min(1.0)
