"""Distillation: a term of the student's loss that compares its outputs with a teacher's.

The networks may differ in width and depth, but their heads must have the same cells and anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prune.darknet.layers import Head
from prune.darknet.netdef import read_netdef
from prune.errors import UsageError
from prune.model.files import load_network
from prune.train.hooks import Batch, Hook
from prune.train.strategies import Strategy
from prune.train.teacher import check_heads, check_images

if TYPE_CHECKING:
    from prune.train.session import Session

TERM = "distill"
"""The name of the term in results.csv."""


class DistillHook(Hook):
    """Runs the teacher on each batch (eval mode, no gradients) and adds the strategy's term times `weight`.

    Raises UsageError if the heads of the two networks differ.
    """

    def __init__(
        self,
        teacher: nn.Module,
        teacher_heads: Sequence[Head],
        student_heads: Sequence[Head],
        strategy: Strategy,
        weight: float = 1.0,
    ) -> None:
        check_heads(student_heads, teacher_heads)
        self.teacher, self.heads = teacher.eval().requires_grad_(False), student_heads
        self.strategy, self.weight = strategy, weight

    def loss(self, raw: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """The distillation term, weighted."""
        with torch.no_grad():
            target = [head.float() for head in self.teacher(batch.imgs)]
        self._check_shapes(raw, target)
        return {TERM: self.weight * self.strategy.loss(raw, target, self.heads, batch)}

    def _check_shapes(self, student: list[Tensor], teacher: list[Tensor]) -> None:
        ours, theirs = [tuple(r.shape) for r in student], [tuple(r.shape) for r in teacher]
        if ours != theirs:
            raise UsageError(f"head outputs differ in shape: teacher {theirs}, student {ours}; strides must agree")


def distill_from(session: Session, cfg: Path, weights: Path, strategy: Strategy, weight: float = 1.0) -> DistillHook:
    """The hook that distils the network of `cfg` and `weights` into a session's network."""
    netdef = read_netdef(cfg)
    check_images(session.netdef, netdef)
    teacher = load_network(netdef, weights, str(session.device))
    memory = torch.channels_last if session.job.train.channels_last else torch.contiguous_format
    moved = teacher.to(memory_format=memory)  # type: ignore[call-overload]
    return DistillHook(moved, teacher.heads, session.model.heads, strategy, weight)
