from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from prune.detect.boxes import pairwise_diou, pairwise_iou
from prune.detect.nms import nms, nms_batch
from prune.detect.settings import NmsSettings
from prune.errors import UsageError


def crowd(boxes: int, classes: int, seed: int = 0) -> Tensor:
    """Boxes (N, 5+C) as `decode` returns them, many of which overlap."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(20, 2, generator=generator)[torch.randint(20, (boxes,), generator=generator)]
    centres = centres + 0.03 * torch.randn(boxes, 2, generator=generator)
    sizes = 0.05 + 0.2 * torch.rand(boxes, 2, generator=generator)
    return torch.cat((centres, sizes, torch.rand(boxes, 1 + classes, generator=generator) ** 3), 1)


def sequential(decoded: Tensor, settings: NmsSettings) -> set[tuple[int, int]]:
    """(box, class) pairs kept by the textbook procedure, one box after the other."""
    centre, half = decoded[:, :2], decoded[:, 2:4] / 2
    boxes = torch.cat((centre - half, centre + half), 1)
    overlap = (pairwise_diou if settings.kind == "diou" else pairwise_iou)(boxes, boxes)
    kept = set()
    for label in range(decoded.shape[1] - 5):
        score = decoded[:, 4] * decoded[:, 5 + label]
        mine: list[int] = []
        for i in score.argsort(descending=True, stable=True).tolist():
            if score[i] > settings.conf and all(overlap[i, j] <= settings.iou for j in mine):
                mine.append(i)
        kept |= {(i, label) for i in mine}
    return kept


def pairs(found: Tensor, decoded: Tensor) -> set[tuple[int, int]]:
    corner = decoded[:, :2] - decoded[:, 2:4] / 2
    rows = (corner[None] - found[:, None, :2]).abs().sum(-1).argmin(1)
    return set(zip(rows.tolist(), found[:, 5].int().tolist(), strict=True))


@pytest.mark.parametrize("kind", ["greedy", "diou"])
@pytest.mark.parametrize("seed", range(3))
def test_it_keeps_what_the_sequential_procedure_keeps(kind: Literal["greedy", "diou"], seed: int) -> None:
    decoded = crowd(300, 4, seed)
    settings = NmsSettings(conf=0.01, iou=0.4, kind=kind)
    found = nms(decoded, settings)
    assert pairs(found, decoded) == sequential(decoded, settings)
    assert (found[:-1, 4] >= found[1:, 4]).all()


@pytest.mark.parametrize("kind", ["greedy", "diou"])
def test_a_class_with_more_boxes_than_are_compared_at_once_is_done_block_by_block(
    kind: Literal["greedy", "diou"],
) -> None:
    decoded = crowd(1300, 1, seed=4)
    settings = NmsSettings(conf=0.0, iou=0.5, kind=kind)
    assert pairs(nms(decoded, settings), decoded) == sequential(decoded, settings)


@pytest.mark.parametrize("limits", [{}, {"max_detections": 7}, {"max_candidates": 30}, {"multi_label": False}])
def test_the_images_of_a_batch_do_not_affect_each_other(limits: dict[str, int]) -> None:
    batch = torch.stack([crowd(200, 3, seed) for seed in range(4)])
    batch[2, :, 4] = 0  # one in which nothing is found
    settings = NmsSettings(conf=0.05, iou=0.4, **limits)  # type: ignore[arg-type]
    together = nms_batch(batch, settings)
    assert [len(found) > 0 for found in together] == [True, True, False, True]
    assert all(torch.equal(found, nms(image, settings)) for found, image in zip(together, batch, strict=True))


def test_the_exponent_makes_distance_count_more() -> None:
    decoded = torch.tensor([[0.5, 0.5, 0.4, 0.2, 1.0, 0.9], [0.6, 0.5, 0.4, 0.2, 1.0, 0.8]])
    # DIoU 0.6 − (0.01/0.29)^beta: 0.57 for 1, 0.47 for Darknet's 0.6.
    assert len(nms(decoded, NmsSettings(iou=0.5, kind="diou"))) == 1
    assert len(nms(decoded, NmsSettings(iou=0.5, kind="diou", beta=0.6))) == 2


@pytest.mark.parametrize("copies", [1, 600])
def test_a_box_whose_overlap_equals_the_threshold_is_kept(copies: int) -> None:
    """Darknet's do_nms_sort drops where box_iou > thresh only. The second box is one half of the first; with enough
    copies of the first, which are removed, a class is compared block by block."""
    decoded = torch.tensor([[1.0, 0.5, 2.0, 1.0, 1.0, 0.9]] * copies + [[0.5, 0.5, 1.0, 1.0, 1.0, 0.8]])
    assert nms(decoded, NmsSettings(iou=0.5))[:, 5].tolist() == [0, 0]
    assert len(nms(decoded, NmsSettings(iou=0.499))) == 1


@pytest.mark.parametrize("multi_label", [True, False])
def test_a_score_that_equals_the_confidence_is_not_selected(multi_label: bool) -> None:
    """Darknet's get_yolo_detections: prob > thresh."""
    decoded = torch.tensor([[0.5, 0.5, 0.2, 0.2, 1.0, 0.25]])
    assert len(nms(decoded, NmsSettings(conf=0.25, multi_label=multi_label))) == 0
    assert len(nms(decoded, NmsSettings(conf=0.249, multi_label=multi_label))) == 1


def test_it_agrees_with_opencv() -> None:
    decoded = crowd(800, 3, seed=7)
    found = nms(decoded, NmsSettings(conf=0.05, iou=0.45))
    scores = (decoded[:, 5:] * decoded[:, 4:5]).numpy()
    rows, classes = np.nonzero(scores > 0.05)
    corner = (decoded[:, :2] - decoded[:, 2:4] / 2).numpy()
    xywh = np.concatenate((corner, decoded[:, 2:4].numpy()), 1)[rows].astype(np.float64)
    kept = cv2.dnn.NMSBoxesBatched(xywh.tolist(), scores[rows, classes].tolist(), classes.tolist(), 0.05, 0.45)
    expected = {(int(rows[i]), int(classes[i])) for i in np.asarray(kept).flatten()}
    assert pairs(found, decoded) == expected


@pytest.mark.parametrize("limit", [1, 100, 700])
def test_a_limit_keeps_the_best_of_what_is_kept_without_one(limit: int) -> None:
    decoded = crowd(2000, 5, seed=1)
    everything = nms(decoded, NmsSettings(conf=0.001, iou=0.8))
    assert len(everything) > 700
    assert torch.equal(nms(decoded, NmsSettings(conf=0.001, iou=0.8, max_detections=limit)), everything[:limit])


def test_a_box_may_have_several_classes_or_only_its_likeliest() -> None:
    decoded = torch.tensor([[0.5, 0.5, 0.2, 0.2, 0.9, 0.6, 0.8, 0.0]])
    several = nms(decoded, NmsSettings())
    assert several[:, 5].tolist() == [1, 0]
    assert several[:, 4].tolist() == pytest.approx([0.72, 0.54])
    assert nms(decoded, NmsSettings(multi_label=False))[:, 5].tolist() == [1]
    assert several[0, :4].tolist() == pytest.approx([0.4, 0.4, 0.6, 0.6])


def test_boxes_of_different_classes_do_not_affect_each_other() -> None:
    decoded = torch.tensor([[0.5, 0.5, 0.2, 0.2, 1.0, 0.9, 0.0], [0.5, 0.5, 0.2, 0.2, 1.0, 0.0, 0.8]])
    assert len(nms(decoded, NmsSettings())) == 2
    decoded[1, 5:] = torch.tensor([0.8, 0.0])
    assert len(nms(decoded, NmsSettings())) == 1


def test_diou_spares_a_box_whose_centre_is_elsewhere() -> None:
    decoded = torch.tensor([[0.5, 0.5, 0.4, 0.2, 1.0, 0.9], [0.6, 0.5, 0.4, 0.2, 1.0, 0.8]])
    # IoU 0.6; centres 0.1 apart in a hull of 0.5 × 0.2: DIoU 0.6 − 0.01/0.29.
    assert len(nms(decoded, NmsSettings(iou=0.58))) == 1
    assert len(nms(decoded, NmsSettings(iou=0.58, kind="diou"))) == 2


@pytest.mark.parametrize("limit", [0, 100])
def test_no_boxes_and_no_confident_boxes_give_an_empty_result(limit: int) -> None:
    settings = NmsSettings(conf=0.5, max_detections=limit)
    assert nms(torch.zeros(0, 7), settings).shape == (0, 6)
    assert nms(torch.full((10, 7), 0.4), settings).shape == (0, 6)


def test_boxes_that_are_not_finite_are_never_selected() -> None:
    decoded = torch.ones(3, 6)
    decoded[0, 2], decoded[1, 5] = float("inf"), float("nan")
    assert len(nms(decoded, NmsSettings())) == 1


def test_candidates_are_limited_to_the_best() -> None:
    decoded = crowd(100, 2)
    found = nms(decoded, NmsSettings(iou=1.0, max_candidates=10))
    assert torch.equal(found, nms(decoded, NmsSettings(iou=1.0))[:10])


@pytest.mark.parametrize("wrong", [{"conf": 1.0}, {"conf": -0.1}, {"iou": 1.1}, {"max_detections": -1}, {"beta": 0.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        NmsSettings(**wrong)  # type: ignore[arg-type]
