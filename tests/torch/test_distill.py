"""What the student learns from the teacher, and when it has no loss."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prune.cli import Parser, add_options, take, take_row
from prune.darknet.head_rules import HeadRules
from prune.darknet.layers import Head
from prune.darknet.netdef import NetDef, parse_netdef
from prune.detect.loss import as_logits
from prune.errors import UsageError
from prune.model.build import DarknetModel
from prune.settings import POSITIVE, check_options, option
from prune.train.bounded_boxes import bounded_boxes
from prune.train.distill import DistillHook
from prune.train.divergence import binary_divergence, class_divergence
from prune.train.hooks import Batch
from prune.train.matching import matched_cells
from prune.train.settings import DistillSettings
from prune.train.soft_target import SoftTarget
from prune.train.strategies import STRATEGIES, Strategy
from prune.train.task import Task
from prune.train.teacher import check_heads
from tests.torch.heads import random_raw, two_heads

SIZE = (64, 64)
BATCH = Batch(torch.rand(2, 3, 64, 64), torch.tensor([[0, 1, 0.3, 0.6, 0.25, 0.2], [1, 0, 0.9, 0.1, 0.6, 0.7]]), SIZE)


def network(width: int = 4, depth: int = 1, classes: int = 2, anchors: str = "10,10, 30,30") -> NetDef:
    """A network with one head of stride 8, `depth` convolutions of `width` channels before it."""
    down = "".join(
        f"[convolutional]\nbatch_normalize=1\nfilters={width}\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
        for _ in range(3)
    )
    more = f"[convolutional]\nbatch_normalize=1\nfilters={width}\nsize=3\nstride=1\npad=1\nactivation=leaky\n" * depth
    head = f"[convolutional]\nfilters={2 * (5 + classes)}\nsize=1\nstride=1\nactivation=linear\n"
    yolo = f"[yolo]\nmask=0,1\nanchors={anchors}\nclasses={classes}\nnum=2\n"
    return parse_netdef(f"[net]\nwidth=64\nheight=64\nchannels=3\n{down}{more}{head}{yolo}")


HEADS = network().heads


def raw(seed: int, scale: float = 1.0) -> list[Tensor]:
    return [scale * torch.randn(2, 14, 8, 8, generator=torch.Generator().manual_seed(seed))]


TAUGHT: dict[str, Strategy] = {"soft-target": SoftTarget(temperature=2.0), "task": Task()}
"""A strategy of each row of the table."""
FROM_THE_TEACHER_ALONE: dict[str, Strategy] = TAUGHT | {"task": Task(box_weight=0.0)}
"""The same without the terms of the labels: a student that equals its teacher has no loss."""


def strategy_loss(name: str, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    return TAUGHT[name].loss(student, teacher, HEADS, BATCH)


def test_every_strategy_of_the_table_is_tested_here() -> None:
    assert TAUGHT.keys() == FROM_THE_TEACHER_ALONE.keys() == STRATEGIES.keys()


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_student_that_equals_its_teacher_has_no_soft_loss(name: str) -> None:
    same = FROM_THE_TEACHER_ALONE[name].loss(raw(0), raw(0), HEADS, BATCH)
    assert float(same) == pytest.approx(0.0, abs=1e-6)
    assert float(strategy_loss(name, raw(1), raw(0))) > 0.1


@pytest.mark.parametrize("name", STRATEGIES)
def test_descending_the_loss_brings_the_student_to_the_teacher(name: str) -> None:
    teacher, student = raw(0), [raw(1)[0].requires_grad_()]
    optimizer = torch.optim.Adam(student, lr=0.05)
    first = float(strategy_loss(name, student, teacher).detach())
    for _ in range(100):
        optimizer.zero_grad()
        loss = strategy_loss(name, student, teacher)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss.detach()) < 0.2 * first


def test_cells_that_the_teacher_takes_for_background_have_almost_no_weight() -> None:
    teacher = raw(0)
    teacher[0].view(2, 2, 7, 8, 8)[:, :, 4] = -12.0
    teacher[0].view(2, 2, 7, 8, 8)[0, 1, 4, 3, 5] = 6.0
    student = [teacher[0].clone()]
    student[0].view(2, 2, 7, 8, 8)[1, :, 5:] += 3.0  # wrong classes, but only in cells without an object
    assert float(SoftTarget(temperature=2.0).loss(student, teacher, HEADS, BATCH)) < 0.05
    student[0].view(2, 2, 7, 8, 8)[0, 1, 5:, 3, 5] += 3.0
    assert float(SoftTarget(temperature=2.0).loss(student, teacher, HEADS, BATCH)) > 0.5


def test_the_divergence_is_that_of_two_bernoulli_distributions() -> None:
    student, teacher = torch.tensor([0.3, -2.0]), torch.tensor([1.5, 4.0])
    expected = torch.distributions.kl_divergence(
        torch.distributions.Bernoulli(logits=teacher / 3), torch.distributions.Bernoulli(logits=student / 3)
    )
    torch.testing.assert_close(binary_divergence(student, teacher, 3.0), 9 * expected)


def test_outputs_of_new_coords_are_probabilities_already() -> None:
    values = torch.tensor([0.0, 0.25, 1.0])
    assert as_logits(values, probable=True).sigmoid().tolist() == pytest.approx([0, 0.25, 1], abs=1e-5)
    assert as_logits(values, probable=False) is values


def exact(target: Tensor = BATCH.targets) -> list[Tensor]:
    """Raw outputs whose matched cells predict the true boxes."""
    values = torch.zeros(2, 2, 7, 8, 8)
    (match,) = matched_cells(target, HEADS, [(8, 8)], SIZE)
    anchors = torch.tensor(HEADS[0].masked_anchors)
    for cell, box in zip(match.cells.tolist(), match.boxes, strict=True):
        image, anchor, row, column = cell
        values[image, anchor, 0:2, row, column] = torch.logit(box[:2])
        values[image, anchor, 2:4, row, column] = (box[2:4] / anchors[anchor]).log()
    return [values.view(2, 14, 8, 8)]


def test_an_object_is_assigned_to_the_cell_of_its_centre_and_the_anchor_of_its_shape() -> None:
    (match,) = matched_cells(BATCH.targets, HEADS, [(8, 8)], SIZE)
    assert match.cells.tolist() == [[0, 0, 4, 2], [1, 1, 0, 7]]
    assert match.boxes[0].tolist() == pytest.approx([0.4, 0.8, 16, 12.8, 0], abs=1e-5)


def test_a_box_nearer_than_the_teachers_has_no_loss() -> None:
    assert float(bounded_boxes(exact(), raw(0), HEADS, BATCH, 0.0)) == 0
    assert float(bounded_boxes(raw(0), exact(), HEADS, BATCH, 0.0)) > 0.1
    with_margin = bounded_boxes(exact(), exact(), HEADS, BATCH, 0.5)
    assert float(with_margin) == pytest.approx(0, abs=1e-5)


def test_images_without_objects_have_a_finite_loss() -> None:
    empty = Batch(BATCH.imgs, torch.zeros(0, 6), SIZE)
    loss = Task().loss(raw(0), raw(1), HEADS, empty)
    assert torch.isfinite(loss)


def test_teacher_and_student_may_differ_in_width_and_depth() -> None:
    torch.manual_seed(0)
    teacher, student = DarknetModel(network(width=8, depth=3)), DarknetModel(network(width=4))
    hook = DistillHook(teacher, teacher.heads, student.heads, Task(), weight=2.0)
    term = hook.loss(student(BATCH.imgs), BATCH)["distill"]
    assert term.requires_grad
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert float(term.detach()) >= 0


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (network(classes=3).heads, "classes is 3 in the teacher and 2"),
        (network(anchors="12,10, 30,30").heads, "masked_anchors"),
        ((), "the teacher has 0 detection heads, the student 1"),
    ],
)
def test_heads_that_differ_are_refused(other: tuple[Head, ...], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        check_heads(HEADS, other)


def test_outputs_of_another_stride_are_refused() -> None:
    class Coarse(nn.Module):
        def forward(self, imgs: Tensor) -> list[Tensor]:
            return [torch.zeros(2, 14, 4, 4)]

    hook = DistillHook(Coarse(), HEADS, HEADS, Task())
    with pytest.raises(UsageError, match="strides must agree"):
        hook.loss(raw(0), BATCH)


OTHER_KINDS = [("region", "region"), ("region without softmax", "yolo"), ("Gaussian_yolo", "region")]


@pytest.mark.parametrize("kinds", OTHER_KINDS)
@pytest.mark.parametrize("strategy", [SoftTarget(), Task(box_weight=0.0)])
def test_heads_of_other_kinds_are_distilled_too(strategy: Strategy, kinds: tuple[str, str]) -> None:
    netdef = two_heads(2, kinds=kinds)
    teacher = DarknetModel(netdef).eval()
    hook = DistillHook(teacher, netdef.heads, netdef.heads, strategy)
    wanted = [head.detach() for head in teacher(BATCH.imgs)]
    assert float(hook.loss(wanted, BATCH)["distill"]) == pytest.approx(0.0, abs=1e-5)
    student = [head.clone().requires_grad_() for head in random_raw(netdef.heads, 2)]
    optimizer = torch.optim.Adam(student, lr=0.05)
    first = float(hook.loss(student, BATCH)["distill"].detach())
    for _ in range(60):
        optimizer.zero_grad()
        loss = hook.loss(student, BATCH)["distill"]
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert first > 0.1
    assert float(loss.detach()) < 0.2 * first


@pytest.mark.parametrize("kinds", OTHER_KINDS)
def test_boxes_of_other_heads_are_bounded_by_the_teachers(kinds: tuple[str, str]) -> None:
    heads = two_heads(2, kinds=kinds).heads
    teacher, student = random_raw(heads, 2), random_raw(heads, 2, seed=1)
    assert float(bounded_boxes(student, teacher, heads, BATCH, 0.0)) >= 0
    assert float(bounded_boxes(teacher, student, heads, BATCH, 100.0)) > 0
    assert float(bounded_boxes(teacher, teacher, heads, BATCH, 0.0)) == 0


def test_a_softmax_diverges_as_distributions_do() -> None:
    student, teacher = torch.randn(1, 1, 3, 2, 2), torch.randn(1, 1, 3, 2, 2)
    pair = (torch.distributions.Categorical(logits=v.movedim(2, -1) / 2) for v in (teacher, student))
    expected = 4 * torch.distributions.kl_divergence(*pair)
    torch.testing.assert_close(class_divergence(student, teacher, HeadRules(class_kind="softmax"), 2.0), expected)


def test_heads_of_another_kind_are_refused() -> None:
    with pytest.raises(UsageError, match=r"head 0: kind is \[yolo\] in the teacher and \[region\] in the student"):
        check_heads(two_heads(kinds=("region", "yolo")).heads, two_heads().heads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A strategy from outside the project: a power of the differences of all outputs."""

    sharpness: float = option(1.0, "exponent", metavar="X", within=POSITIVE)

    def __post_init__(self) -> None:
        check_options(self)

    def loss(self, student: list[Tensor], teacher: list[Tensor], heads: Sequence[Head], batch: Batch) -> Tensor:
        pairs = zip(student, teacher, strict=True)
        return torch.stack([(own - other).abs().pow(self.sharpness).mean() for own, other in pairs]).sum()


def distill_arguments(*args: str) -> argparse.Namespace:
    parser = Parser("teaches", "none")
    groups: list[type[Any]] = [DistillSettings, *STRATEGIES.values()]
    for group in groups:
        add_options(parser, group)
    return parser.parse_args(args)


def test_a_strategy_is_a_row_of_the_table_with_its_own_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "copy", Copy)
    namespace = distill_arguments("--distill", "copy", "--sharpness", "3", "--distill-weight", "2")
    settings = take(namespace, DistillSettings)
    strategy = take_row(namespace, STRATEGIES, settings.strategy)
    assert strategy == Copy(sharpness=3.0)
    teacher = DarknetModel(network()).eval()
    hook = DistillHook(teacher, HEADS, HEADS, strategy, settings.distill_weight)
    student = [head.detach() + 2 for head in teacher(BATCH.imgs)]
    assert float(hook.loss(student, BATCH)["distill"]) == pytest.approx(2 * 8, rel=1e-4)


def test_a_flag_of_another_strategy_is_checked_too() -> None:
    namespace = distill_arguments("--distill", "task", "--temperature", "-1")
    with pytest.raises(UsageError, match=r"--temperature -1.0 must be positive"):
        take_row(namespace, STRATEGIES, take(namespace, DistillSettings).strategy)
