"""The strategy `task`: the teacher's scores, and boxes that need not be better than the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prune.darknet.layers import Head
from prune.settings import NOT_NEGATIVE, check_options, option

if TYPE_CHECKING:
    from torch import Tensor

    from prune.train.hooks import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Class-imbalance weighted class and objectness distillation, and boxes bounded by the teacher's.

    Chen et al. 2017, "Learning Efficient Object Detection Models with Knowledge Distillation", sections 3.2
    (background has a larger weight than a class) and 3.3 (a box has a loss only while its error, plus the margin,
    exceeds the teacher's).
    """

    box_weight: float = option(0.5, "task: weight of the teacher-bounded box term", metavar="X", within=NOT_NEGATIVE)
    margin: float = option(
        0.0, "task: no box loss once the student's error is below the teacher's by this (squared error)", metavar="X"
    )
    background: float = option(1.5, "task: weight of background relative to objects in objectness", metavar="X")

    def __post_init__(self) -> None:
        check_options(self)

    def loss(self, student: list[Tensor], teacher: list[Tensor], heads: Sequence[Head], batch: Batch) -> Tensor:
        """Raw (B, A*(entries + C), H, W) → (), a mean per object the teacher detects and per matched cell."""
        from prune.train.bounded_boxes import bounded_boxes  # torch is imported only after the arguments are parsed
        from prune.train.divergence import divergences

        soft = student[0].new_zeros(())
        weight_sum = student[0].new_zeros(())
        for ours, theirs, head in zip(student, teacher, heads, strict=True):
            weight, objectness, classes = divergences(ours, theirs, head)
            background = weight + self.background * (1 - weight)
            soft = soft + (background * objectness).sum() + (weight * classes).sum()
            weight_sum = weight_sum + weight.sum()
        boxes = bounded_boxes(student, teacher, heads, batch, self.margin)
        return soft / weight_sum.clamp_min(1.0) + self.box_weight * boxes
