from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from prune.detect.boxes import (
    aligned_iou,
    area,
    cxcywh_to_xyxy,
    pairwise_diou,
    pairwise_iou,
    wh_iou,
    xyxy_to_cxcywh,
)
from prune.detect.settings import IouKind

KINDS: tuple[IouKind, ...] = ("iou", "giou", "diou", "ciou")
FRACTIONS = st.floats(0, 1, width=32)


@st.composite
def boxes(draw: st.DrawFn) -> Tensor:
    x, y, w, h = (draw(FRACTIONS) for _ in range(4))
    return torch.tensor([[x, y, x + w, y + h]])


def box(*edges: float) -> Tensor:
    return torch.tensor([edges], dtype=torch.float32)


@given(boxes())
def test_both_box_formats_convert_into_each_other(a: Tensor) -> None:
    assert torch.allclose(cxcywh_to_xyxy(xyxy_to_cxcywh(a)), a, atol=1e-6)


@given(boxes(), boxes())
def test_iou_is_symmetric_in_range_and_the_pairwise_one_agrees(a: Tensor, b: Tensor) -> None:
    iou = aligned_iou(a, b)
    assert 0 <= float(iou) <= 1 + 1e-6
    assert torch.allclose(iou, aligned_iou(b, a), atol=1e-6)
    assert torch.allclose(pairwise_iou(a, b).flatten(), iou, atol=1e-6)
    assert torch.allclose(pairwise_diou(a, b).flatten(), aligned_iou(a, b, "diou"), atol=1e-6)


@given(boxes(), boxes())
def test_penalties_only_ever_lower_the_iou(a: Tensor, b: Tensor) -> None:
    iou, giou, diou, ciou = (float(aligned_iou(a, b, kind)) for kind in KINDS)
    assert -1 - 1e-5 <= giou <= iou + 1e-5
    assert ciou <= diou + 1e-5
    assert diou <= iou + 1e-5


def test_iou_of_known_boxes() -> None:
    a, b = (
        torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1]]),
        torch.tensor([[1.0, 1, 3, 3], [0, 0, 1, 1], [5, 5, 6, 6]]),
    )
    assert torch.allclose(pairwise_iou(a, b), torch.tensor([[1 / 7, 1 / 4, 0], [0, 1, 0]]))
    assert area(a).tolist() == [4, 1]


def test_giou_of_known_boxes_is_eq_1_of_its_paper() -> None:
    # Hull 3×3 = 9, union 7: IoU 1/7 less 2/9.
    assert float(aligned_iou(box(0, 0, 2, 2), box(1, 1, 3, 3), "giou")) == pytest.approx(1 / 7 - 2 / 9)
    # Apart: hull 4×1, union 2.
    assert float(aligned_iou(box(0, 0, 1, 1), box(3, 0, 4, 1), "giou")) == pytest.approx(-0.5)


def test_diou_and_ciou_of_known_boxes_follow_their_paper() -> None:
    a, b = box(0, 0, 2, 2), box(1, 1, 3, 5)
    iou = 1 / (4 + 8 - 1)
    # Centres (1, 1) and (2, 3): 5; the hull is 3×5: 34.
    diou = iou - 5 / 34
    assert float(aligned_iou(a, b, "diou")) == pytest.approx(diou)
    v = 4 / math.pi**2 * (math.atan(2 / 2) - math.atan(2 / 4)) ** 2
    assert float(aligned_iou(a, b, "ciou")) == pytest.approx(diou - v / (1 - iou + v) * v)


def test_the_weight_of_the_aspect_term_passes_no_gradient() -> None:
    a, b = box(0, 0, 2, 2).requires_grad_(), box(0.5, 0.5, 1.5, 3)
    (gradient,) = torch.autograd.grad(aligned_iou(a, b, "ciou").sum(), a)
    with torch.no_grad():
        iou = aligned_iou(a, b)
        v = 4 / math.pi**2 * (math.atan(1) - math.atan(1 / 2.5)) ** 2
        alpha = v / (1 - iou + v)
    size = a[:, 2:] - a[:, :2]
    term = 4 / math.pi**2 * (torch.atan(size[:, 0] / size[:, 1]) - math.atan(1 / 2.5)) ** 2
    (expected,) = torch.autograd.grad((aligned_iou(a, b, "diou") - alpha * term).sum(), a)
    assert torch.allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(0.0, 0.0), (0.0, 1.0), (1e-20, 1e-20), (1e7, 1e-7)])
def test_boxes_without_area_give_finite_gradients(kind: IouKind, sizes: tuple[float, float]) -> None:
    a = torch.tensor([[0.5, 0.5, *sizes], [0.5, 0.5, 0.0, 0.0]], requires_grad=True)
    iou = aligned_iou(cxcywh_to_xyxy(a), cxcywh_to_xyxy(torch.tensor([[0.5, 0.5, 0.0, 0.0]] * 2)), kind)
    (gradient,) = torch.autograd.grad(iou.sum(), a)
    assert iou.isfinite().all()
    assert gradient.isfinite().all()


def test_shapes_are_compared_wherever_the_boxes_lie() -> None:
    found = wh_iou(torch.tensor([[2.0, 2], [0, 0]]), torch.tensor([[2.0, 2], [4, 1]]))
    assert torch.allclose(found, torch.tensor([[1, 2 / 6], [0, 0]]))
