"""Distillation: a teacher's outputs as a further term of the student's loss.

Both networks may differ in width and depth, but their heads must agree, cell by cell and anchor by anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prune.darknet.layers import Yolo
from prune.darknet.netdef import read_netdef
from prune.detect.decode import decode_wh, decode_xy, head_geometry, split_head
from prune.errors import UsageError
from prune.model.build import build
from prune.model.state import load_weights
from prune.train.hooks import Batch, Hook
from prune.train.matching import matched_cells
from prune.train.settings import DistillSettings
from prune.train.start import read_exact

if TYPE_CHECKING:
    from prune.train.session import Session

PROBABILITY_EPS = 1e-6


def check_heads(student: Sequence[Yolo], teacher: Sequence[Yolo]) -> None:
    """Raise UsageError unless both networks have the same heads in the same order."""
    if len(student) != len(teacher):
        raise UsageError(f"the teacher has {len(teacher)} [yolo] heads, the student {len(student)}: they must agree")
    for number, (ours, theirs) in enumerate(zip(student, teacher, strict=True)):
        for what in ("classes", "masked_anchors", "new_coords", "scale_x_y"):
            mine, other = getattr(ours, what), getattr(theirs, what)
            if mine != other:
                raise UsageError(
                    f"[yolo] head {number}: {what} is {other} in the teacher and {mine} in the student; "
                    "heads must agree: use a teacher trained with the student's heads"
                )


def logits(values: Tensor, new_coords: bool) -> Tensor:
    """Logits of objectness and classes; under `new_coords` the network gives probabilities."""
    return torch.logit(values, eps=PROBABILITY_EPS) if new_coords else values


def binary_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher || student) of the Bernoulli distributions of two logits at `temperature`, times
    temperature².

    0 where both agree. The square keeps the gradient's size independent of the temperature: Hinton et al.
    2015, "Distilling the Knowledge in a Neural Network", section 2.
    """
    target = (teacher / temperature).sigmoid()
    cross = F.binary_cross_entropy_with_logits(student / temperature, target, reduction="none")
    own = F.binary_cross_entropy_with_logits(teacher / temperature, target, reduction="none")
    return (cross - own) * temperature**2


def soft_target_loss(student: list[Tensor], teacher: list[Tensor], heads: Sequence[Yolo], temperature: float) -> Tensor:
    """Divergence of the class and objectness outputs, each cell weighted by the teacher's objectness.

    Most cells are background where both say no: unweighted they would drown the few that hold what the
    teacher knows. Divided by the sum of the weights, so that it is a mean per object the teacher sees. Raw
    (B, A*(5+C), H, W) → ().
    """
    total, weight_sum = student[0].new_zeros(()), student[0].new_zeros(())
    for ours, theirs, head in zip(student, teacher, heads, strict=True):
        own = logits(split_head(ours, head)[:, :, 4:], head.new_coords)
        other = logits(split_head(theirs, head)[:, :, 4:], head.new_coords)
        weight = other[:, :, 0].sigmoid()
        divergence = binary_divergence(own, other, temperature)
        total = total + (weight * divergence.sum(2)).sum()
        weight_sum = weight_sum + weight.sum()
    return total / weight_sum.clamp_min(1.0)


def task_loss(
    student: list[Tensor],
    teacher: list[Tensor],
    heads: Sequence[Yolo],
    batch: Batch,
    settings: DistillSettings,
) -> Tensor:
    """Class-imbalance weighted class and objectness distillation, and boxes bounded by the teacher's.

    Chen et al. 2017, "Learning Efficient Object Detection Models with Knowledge Distillation", sections 3.2
    (background weighs more than a class) and 3.3 (a box costs only while it is farther from the truth than
    the teacher's, by the margin). Raw (B, A*(5+C), H, W) → (), a mean per object the teacher sees and per
    matched cell.
    """
    soft = student[0].new_zeros(())
    seen = student[0].new_zeros(())
    for ours, theirs, head in zip(student, teacher, heads, strict=True):
        own = logits(split_head(ours, head)[:, :, 4:], head.new_coords)
        other = logits(split_head(theirs, head)[:, :, 4:], head.new_coords)
        objectness = other[:, :, 0].sigmoid()
        divergence = binary_divergence(own, other)
        background = objectness + settings.background * (1 - objectness)
        soft = soft + (background * divergence[:, :, 0]).sum() + (objectness * divergence[:, :, 1:].sum(2)).sum()
        seen = seen + objectness.sum()
    boxes = bounded_boxes(student, teacher, heads, batch, settings.margin)
    return soft / seen.clamp_min(1.0) + settings.box_weight * boxes


def bounded_boxes(
    student: list[Tensor], teacher: list[Tensor], heads: Sequence[Yolo], batch: Batch, margin: float
) -> Tensor:
    """Mean over matched cells of the student's squared box error, 0 where error + margin <= the teacher's. →
    ()

    Boxes are compared as centre offsets in cells and logarithms of sizes, as heads regress them.
    """
    total, count = student[0].new_zeros(()), 0
    matches = matched_cells(batch.targets, heads, [tuple(r.shape[-2:]) for r in student], batch.size_wh)
    for ours, theirs, head, match in zip(student, teacher, heads, matches, strict=True):
        error = box_error(match.select(split_head(ours, head)), match.boxes, head)
        bound = box_error(match.select(split_head(theirs, head)), match.boxes, head)
        total = total + error[error + margin > bound].sum()
        count += len(error)
    return total / max(1, count)


def box_error(values: Tensor, truth: Tensor, head: Yolo) -> Tensor:
    """Squared distance (n,) of boxes.

    `values` (n, 5+C) raw; `truth` (n, 5): offsets in cells, sizes in pixels, anchor.
    """
    geometry = head_geometry(head, values)
    xy = decode_xy(values[:, :2], geometry)
    wh = decode_wh(values[:, 2:4], geometry.anchors[truth[:, 4].long()], head.new_coords)
    sizes = (wh.clamp_min(1e-6).log() - truth[:, 2:4].clamp_min(1e-6).log()).square()
    return (xy - truth[:, :2]).square().sum(1) + sizes.sum(1)


class DistillHook(Hook):
    """Runs the teacher on each batch, in eval mode and without gradients, and adds the strategy's term.

    Raises UsageError where the heads of the two networks differ.
    """

    def __init__(
        self,
        teacher: nn.Module,
        teacher_heads: Sequence[Yolo],
        student_heads: Sequence[Yolo],
        settings: DistillSettings,
    ) -> None:
        check_heads(student_heads, teacher_heads)
        self.teacher, self.heads, self.settings = (
            teacher.eval().requires_grad_(False),
            student_heads,
            settings,
        )

    def loss(self, raw: list[Tensor], batch: Batch) -> Tensor:
        """The distillation term, weighted."""
        with torch.no_grad():
            target = [head.float() for head in self.teacher(batch.imgs)]
        self._check_shapes(raw, target)
        if self.settings.strategy == "task":
            term = task_loss(raw, target, self.heads, batch, self.settings)
        else:
            term = soft_target_loss(raw, target, self.heads, self.settings.temperature)
        return self.settings.distill_weight * term

    def _check_shapes(self, student: list[Tensor], teacher: list[Tensor]) -> None:
        ours, theirs = [tuple(r.shape) for r in student], [tuple(r.shape) for r in teacher]
        if ours != theirs:
            raise UsageError(f"head outputs differ in shape: teacher {theirs}, student {ours}; strides must agree")


def distill_from(session: Session, cfg: Path, weights: Path, settings: DistillSettings) -> DistillHook:
    """The hook that teaches a session's network what the network of `cfg` and `weights` knows."""
    netdef = read_netdef(cfg)
    teacher = build(netdef)
    load_weights(teacher, read_exact(weights, netdef))
    memory = torch.channels_last if session.job.train.channels_last else torch.contiguous_format
    moved = teacher.to(device=session.device, memory_format=memory)  # type: ignore[call-overload]
    return DistillHook(moved, teacher.heads, session.model.heads, settings)
