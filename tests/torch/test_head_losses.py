"""The losses of `[region]` and `[Gaussian_yolo]` heads."""

from __future__ import annotations

import math

import pytest
import torch

from prune.darknet.head_rules import HeadRules
from prune.detect.loss import YoloLoss, class_loss
from prune.detect.settings import LossSettings
from tests.torch.heads import random_raw, two_heads
from tests.torch.loss_cases import GRIDS, KINDS, SIZE, TARGETS, places


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_outputs_of_other_heads_give_finite_losses_too(kind: str) -> None:
    heads = two_heads(kinds=(kind, kind)).heads
    for factor in (0.0, 1e2, 1e4):
        raw = [(r * factor).requires_grad_() for r in random_raw(heads, 3)]
        parts = YoloLoss(heads, LossSettings(), SIZE)(raw, TARGETS)
        parts.total.backward()  # type: ignore[no-untyped-call]
        assert parts.total.isfinite()
        assert float(parts.box.detach()) >= 0
        assert all(r.grad is not None and r.grad.isfinite().all() for r in raw)


def test_a_softmax_learns_by_cross_entropy() -> None:
    values = torch.tensor([[0.3, -1.0, 2.0]])
    truth = torch.tensor([[0.0, 0.0, 1.0]])
    expected = torch.nn.functional.cross_entropy(values, torch.tensor([2]), label_smoothing=0.1)
    assert float(class_loss(values, truth, HeadRules(class_kind="softmax"), 0.1)) == pytest.approx(float(expected))


def test_linear_class_scores_learn_by_squared_error() -> None:
    values, truth = torch.tensor([[0.5, -1.0]]), torch.tensor([[1.0, 0.0]])
    assert class_loss(values, truth, HeadRules(class_kind="linear"), 0.0).tolist() == [1.25]


def test_a_region_head_learns_the_same_objects_as_a_yolo_head_of_equal_anchors() -> None:
    assert places(0, TARGETS, two_heads(kinds=("region", "region"))) == places(0, TARGETS)
    assert places(1, TARGETS, two_heads(kinds=("region", "region"))) == places(1, TARGETS)


def test_the_loss_of_coordinates_is_their_negative_log_likelihood() -> None:
    heads = two_heads(kinds=("Gaussian_yolo", "yolo")).heads
    target = torch.tensor([[0, 0, 0.3, 0.3, 0.9, 1.7]])  # anchor 5, cell (1, 1) of head 0; only there
    raw = [torch.zeros(1, h.channels, *grid) for h, grid in zip(heads, GRIDS, strict=True)]
    loss = YoloLoss(heads, LossSettings(match_iou=1.0, box_gain=1.0), SIZE)
    sigma = 0.5 + 0.3
    wanted = [0.2, 0.2, math.log(0.9 * 64 / 59), math.log(1.7 * 64 / 119)]
    means = [0.5, 0.5, 0.0, 0.0]
    z = [(w - m) / 0.5 for w, m in zip(wanted, means, strict=True)]
    densities = [math.exp(-v * v / 2) / (sigma * math.sqrt(2 * math.pi)) for v in z]
    best = 1 / (0.3 * math.sqrt(2 * math.pi))
    nll = sum(math.log(best) - math.log(d + 1e-9) for d in densities) / 4
    assert float(loss(raw, target).box) == pytest.approx(nll * (2 - 0.9 * 1.7) / 2, rel=1e-5)


def test_a_certain_correct_box_has_less_loss_than_an_uncertain_one_and_a_certain_wrong_one_most() -> None:
    heads = two_heads(kinds=("Gaussian_yolo", "yolo")).heads
    target = torch.tensor([[0, 0, 0.375, 0.375, 59 / 64, 119 / 64]])  # what zeros mean, exactly
    loss = YoloLoss(heads, LossSettings(match_iou=1.0), SIZE)

    def cost(doubt: float, shift: float) -> float:
        raw = [torch.zeros(1, h.channels, *grid) for h, grid in zip(heads, GRIDS, strict=True)]
        raw[0].view(1, 3, 11, 4, 4)[:, :, [1, 3, 5, 7]] = doubt
        raw[0].view(1, 3, 11, 4, 4)[:, :, [4, 6]] = shift
        return float(loss(raw, target).box)

    assert cost(-6.0, 0.0) < cost(0.0, 0.0) < cost(0.0, 1.0) < cost(-6.0, 1.0)
