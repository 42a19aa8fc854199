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

from prune.darknet.layers import Head
from prune.darknet.netdef import NetDef, read_netdef
from prune.detect.decode import HeadGeometry, decode_wh, decode_xy, head_geometry
from prune.detect.heads import HeadRules, head_rules, split_head
from prune.detect.loss import as_logits
from prune.errors import UsageError
from prune.model.files import load_network
from prune.train.hooks import Batch, Hook
from prune.train.matching import matched_cells
from prune.train.settings import DistillSettings

if TYPE_CHECKING:
    from prune.train.session import Session


def check_heads(student: Sequence[Head], teacher: Sequence[Head]) -> None:
    """Raise UsageError unless both networks have the same heads in the same order."""
    if len(student) != len(teacher):
        raise UsageError(f"the teacher has {len(teacher)} detection heads, the student {len(student)}: they must agree")
    for number, (ours, theirs) in enumerate(zip(student, teacher, strict=True)):
        mine, others = _what_must_agree(ours), _what_must_agree(theirs)
        for what, other in others.items():
            if mine[what] != other:
                raise UsageError(
                    f"[{ours.kind}] head {number}: {what} is {other} in the teacher and {mine[what]} in the student; "
                    "heads must agree: use a teacher trained with the student's heads"
                )


def _what_must_agree(head: Head) -> dict[str, object]:
    rules = head_rules(head)
    return {
        "kind": f"[{head.kind}]",
        "classes": head.classes,
        "masked_anchors": head.masked_anchors,
        "new_coords": rules.probable,
        "scale_x_y": rules.scale_x_y,
        "the class score": rules.class_kind,
    }


def check_images(student: NetDef, teacher: NetDef) -> None:
    """Raise UsageError unless both networks read the same images, RGB or grayscale: a batch holds them once."""
    ours, theirs = student.net.channels, teacher.net.channels
    if ours != theirs:
        raise UsageError(
            f"{teacher.path}: channels={theirs} in [net], but the student {student.path} has channels={ours}; "
            f"both read the same images: use a teacher trained with channels={ours}"
        )


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


def class_divergence(student: Tensor, teacher: Tensor, rules: HeadRules, temperature: float = 1.0) -> Tensor:
    """Divergence of class numbers (B, A, C, H, W) → (B, A, H, W): summed over independent classes, KL(teacher ||
    student) at `temperature` (times its square) of a softmax, and the squared difference of linear scores.
    """
    if rules.class_kind == "linear":
        return (student - teacher).square().sum(2)
    if rules.class_kind == "softmax":
        own, target = ((values / temperature).log_softmax(2) for values in (student, teacher))
        return (target.exp() * (target - own)).sum(2) * temperature**2
    own, target = (as_logits(values, rules.probable) for values in (student, teacher))
    return binary_divergence(own, target, temperature).sum(2)


def divergences(ours: Tensor, theirs: Tensor, head: Head, temperature: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """(B, A, H, W) each: the teacher's objectness, and the divergences of objectness and of the classes."""
    rules, own, other = head_rules(head), split_head(ours, head), split_head(theirs, head)
    own_object, object_ = (as_logits(values[:, :, 4], rules.probable) for values in (own, other))
    classes = class_divergence(own[:, :, 5:], other[:, :, 5:], rules, temperature)
    return object_.sigmoid(), binary_divergence(own_object, object_, temperature), classes


def soft_target_loss(student: list[Tensor], teacher: list[Tensor], heads: Sequence[Head], temperature: float) -> Tensor:
    """Divergence of the class and objectness outputs, each cell weighted by the teacher's objectness.

    Most cells are background where both say no: unweighted they would drown the few that hold what the
    teacher knows. Divided by the sum of the weights, so that it is a mean per object the teacher sees. Raw
    (B, A*(entries + C), H, W) → ().
    """
    total, weight_sum = student[0].new_zeros(()), student[0].new_zeros(())
    for ours, theirs, head in zip(student, teacher, heads, strict=True):
        weight, objectness, classes = divergences(ours, theirs, head, temperature)
        total = total + (weight * (objectness + classes)).sum()
        weight_sum = weight_sum + weight.sum()
    return total / weight_sum.clamp_min(1.0)


def task_loss(
    student: list[Tensor],
    teacher: list[Tensor],
    heads: Sequence[Head],
    batch: Batch,
    settings: DistillSettings,
) -> Tensor:
    """Class-imbalance weighted class and objectness distillation, and boxes bounded by the teacher's.

    Chen et al. 2017, "Learning Efficient Object Detection Models with Knowledge Distillation", sections 3.2
    (background weighs more than a class) and 3.3 (a box costs only while it is farther from the truth than
    the teacher's, by the margin). Raw (B, A*(entries + C), H, W) → (), a mean per object the teacher sees and per
    matched cell.
    """
    soft = student[0].new_zeros(())
    seen = student[0].new_zeros(())
    for ours, theirs, head in zip(student, teacher, heads, strict=True):
        weight, objectness, classes = divergences(ours, theirs, head)
        background = weight + settings.background * (1 - weight)
        soft = soft + (background * objectness).sum() + (weight * classes).sum()
        seen = seen + weight.sum()
    boxes = bounded_boxes(student, teacher, heads, batch, settings.margin)
    return soft / seen.clamp_min(1.0) + settings.box_weight * boxes


def bounded_boxes(
    student: list[Tensor], teacher: list[Tensor], heads: Sequence[Head], batch: Batch, margin: float
) -> Tensor:
    """Mean over matched cells of the student's squared box error, 0 where error + margin <= the teacher's. →
    ()

    Boxes are compared as centre offsets in cells and logarithms of sizes, as heads regress them; the
    uncertainties of `[Gaussian_yolo]` are left to the student's own loss.
    """
    total, count = student[0].new_zeros(()), 0
    matches = matched_cells(batch.targets, heads, [(r.shape[-2], r.shape[-1]) for r in student], batch.size_wh)
    for ours, theirs, head, match in zip(student, teacher, heads, matches, strict=True):
        geometry = head_geometry(head, ours, batch.size_wh)
        error = box_error(match.select(split_head(ours, head)), match.boxes, geometry)
        bound = box_error(match.select(split_head(theirs, head)), match.boxes, geometry)
        total = total + error[error + margin > bound].sum()
        count += len(error)
    return total / max(1, count)


def box_error(values: Tensor, truth: Tensor, geometry: HeadGeometry) -> Tensor:
    """Squared distance (n,) of boxes.

    `values` (n, 5+C) raw; `truth` (n, 5): offsets in cells, sizes in pixels, anchor.
    """
    xy = decode_xy(values[:, :2], geometry)
    wh = decode_wh(values[:, 2:4], geometry.anchors[truth[:, 4].long()], geometry.new_coords)
    sizes = (wh.clamp_min(1e-6).log() - truth[:, 2:4].clamp_min(1e-6).log()).square()
    return (xy - truth[:, :2]).square().sum(1) + sizes.sum(1)


class DistillHook(Hook):
    """Runs the teacher on each batch, in eval mode and without gradients, and adds the strategy's term.

    Raises UsageError where the heads of the two networks differ.
    """

    def __init__(
        self,
        teacher: nn.Module,
        teacher_heads: Sequence[Head],
        student_heads: Sequence[Head],
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
    check_images(session.netdef, netdef)
    teacher = load_network(netdef, weights, str(session.device))
    memory = torch.channels_last if session.job.train.channels_last else torch.contiguous_format
    moved = teacher.to(memory_format=memory)  # type: ignore[call-overload]
    return DistillHook(moved, teacher.heads, session.model.heads, settings)
