"""The distillation terms against the same formulas written as loops over cells."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from prune.darknet.head_rules import HeadRules
from prune.train.bounded_boxes import bounded_boxes
from prune.train.distill import DistillHook
from prune.train.divergence import class_divergence
from prune.train.hooks import Batch
from prune.train.matching import matched_cells
from prune.train.soft_target import SoftTarget
from prune.train.task import Task
from tests.torch.heads import random_raw, two_heads

SIZE = (64, 64)
HEADS = two_heads().heads
BATCH = Batch(torch.rand(2, 3, 64, 64), torch.tensor([[0, 1, 0.3, 0.6, 0.25, 0.2], [1, 0, 0.9, 0.1, 0.6, 0.7]]), SIZE)
Cell = list[float]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def coins(student: float, teacher: float, temperature: float) -> float:
    """temperature² · KL(teacher || student) of two Bernoulli distributions, from their logits."""
    q, p = sigmoid(teacher / temperature), sigmoid(student / temperature)
    return temperature**2 * (q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p)))


def cells(raw: list[Tensor]) -> list[Cell]:
    """The numbers of all boxes of both heads: x, y, w, h, objectness, two classes."""
    return [cell for r in raw for cell in by_box(r).double().movedim(2, -1).reshape(-1, 7).tolist()]


def by_box(raw: Tensor) -> Tensor:
    """(B, 3·7, H, W) → (B, 3, 7, H, W), a copy."""
    return raw.clone().view(len(raw), 3, 7, *raw.shape[2:])


def soft_target(student: list[Tensor], teacher: list[Tensor], temperature: float) -> float:
    total = weights = 0.0
    for own, other in zip(cells(student), cells(teacher), strict=True):
        weight = sigmoid(other[4])
        total += weight * sum(coins(own[n], other[n], temperature) for n in (4, 5, 6))
        weights += weight
    return total / max(1.0, weights)


def task(student: list[Tensor], teacher: list[Tensor], background: float) -> float:
    """Without its boxes."""
    total = weights = 0.0
    for own, other in zip(cells(student), cells(teacher), strict=True):
        weight = sigmoid(other[4])
        total += (weight + background * (1 - weight)) * coins(own[4], other[4], 1.0)
        total += weight * sum(coins(own[n], other[n], 1.0) for n in (5, 6))
        weights += weight
    return total / max(1.0, weights)


def doubtful(raw: list[Tensor], objectness: float) -> list[Tensor]:
    """The same outputs with the objectness lowered by this much."""
    found = [by_box(r) for r in raw]
    for r in found:
        r[:, :, 4] -= objectness
    return [r.flatten(1, 2) for r in found]


STUDENT, TEACHER = random_raw(HEADS, 2), random_raw(HEADS, 2, seed=1)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("lowered", [0.0, 9.0])
def test_soft_targets_are_those_of_their_formula(temperature: float, lowered: float) -> None:
    """With the objectness lowered by 9 the teacher detects less than one object in total."""
    teacher = doubtful(TEACHER, lowered)
    expected = soft_target(STUDENT, teacher, temperature)
    found = float(SoftTarget(temperature=temperature).loss(STUDENT, teacher, HEADS, BATCH))
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("background", [1.0, 1.5])
@pytest.mark.parametrize("lowered", [0.0, 9.0])
def test_the_task_loss_is_that_of_its_formula(background: float, lowered: float) -> None:
    teacher = doubtful(TEACHER, lowered)
    strategy = Task(background=background, box_weight=0.0)
    expected = task(STUDENT, teacher, background)
    assert float(strategy.loss(STUDENT, teacher, HEADS, BATCH)) == pytest.approx(expected, rel=1e-4)
    boxes = float(bounded_boxes(STUDENT, teacher, HEADS, BATCH, 0.0))
    assert boxes > 0
    weighted = float(replace(strategy, box_weight=0.25).loss(STUDENT, teacher, HEADS, BATCH))
    assert weighted == pytest.approx(expected + 0.25 * boxes, rel=1e-4)


def moved(raw: list[Tensor], x: float, w: float) -> list[Tensor]:
    found = [by_box(r) for r in raw]
    for r in found:
        r[:, :, 0] += x
        r[:, :, 2] += w
    return [r.flatten(1, 2) for r in found]


def test_the_box_loss_is_the_mean_squared_error_in_cells_and_logarithms() -> None:
    """Two objects, two heads, one cell each: errors of x (through the logistic), and of the logarithms of the sizes."""
    matches = matched_cells(BATCH.targets, HEADS, [(4, 4), (8, 8)], SIZE)
    student = [torch.zeros_like(r) for r in STUDENT]
    errors = []
    for head, match in zip(HEADS, matches, strict=True):
        for x, y, w, h, anchor in match.boxes.tolist():
            width, height = head.masked_anchors[int(anchor)]
            sizes = math.log(w / width) ** 2 + math.log(h / height) ** 2
            errors.append((x - 0.5) ** 2 + (y - 0.5) ** 2 + sizes)
    far = moved(student, 9.0, 9.0)
    assert len(errors) == 2
    assert float(bounded_boxes(student, far, HEADS, BATCH, 0.0)) == pytest.approx(0.0)
    assert float(bounded_boxes(student, far, HEADS, BATCH, 1e6)) == pytest.approx(sum(errors) / 2, rel=1e-5)


@pytest.mark.parametrize(("margin", "costs"), [(0.0, False), (0.02, False), (0.06, True)])
def test_a_box_must_be_nearer_than_the_teachers_by_the_margin_to_have_no_loss(margin: float, costs: bool) -> None:
    """The teacher's width is off by 0.2 in its logarithm: by 0.04 squared; the rest equals the student's."""
    target = torch.tensor([[0, 1, 0.5625, 0.5625, 10 / 64, 13 / 64]])  # the smallest anchor in the middle of a cell
    batch = replace(BATCH, targets=target)
    student = [torch.zeros_like(r) for r in STUDENT]
    student = moved(student, 0.1, 0.0)
    teacher = moved(student, 0.0, 0.2)
    assert (float(bounded_boxes(student, teacher, HEADS, batch, margin)) > 0) is costs


def test_the_weight_multiplies_the_term() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, imgs: Tensor) -> list[Tensor]:
            return TEACHER

    one, three = (
        float(DistillHook(Fixed(), HEADS, HEADS, Task(), weight).loss(STUDENT, BATCH)["distill"])
        for weight in (1.0, 3.0)
    )
    assert one > 0
    assert three == pytest.approx(3 * one)


def test_under_new_coords_probabilities_are_compared_as_logits() -> None:
    heads = two_heads(new_coords=1).heads
    own, other = ([r.sigmoid() for r in raw] for raw in (STUDENT, TEACHER))
    found = float(SoftTarget(temperature=2.0).loss(own, other, heads, BATCH))
    assert found == pytest.approx(soft_target(STUDENT, TEACHER, 2.0), rel=1e-3)


def test_linear_class_scores_diverge_by_the_sum_of_squares() -> None:
    student, teacher = torch.zeros(1, 1, 2, 1, 1), torch.tensor([1.0, -3.0]).view(1, 1, 2, 1, 1)
    assert class_divergence(student, teacher, HeadRules(class_kind="linear"), 2.0).item() == 10.0


@pytest.mark.parametrize(("x", "y", "cell"), [(1.0, 0.5, [0, 0, 4, 7]), (0.5, 1.0, [0, 0, 7, 4])])
def test_an_object_on_the_far_edge_belongs_to_the_last_cell(x: float, y: float, cell: list[int]) -> None:
    matches = matched_cells(torch.tensor([[0, 1, x, y, 10 / 64, 13 / 64]]), HEADS, [(4, 4), (8, 8)], SIZE)
    assert [match.cells.tolist() for match in matches] == [[], [cell]]
