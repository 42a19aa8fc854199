from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from prune.metrics.curve import average_precision
from prune.metrics.matching import inclusive_iou
from prune.metrics.voc import Points, VocTruth, mean_ap, voc_ap

Floats = NDArray[np.float64]


def truth(*rows: tuple[float, float, float, float, int, bool]) -> VocTruth:
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return VocTruth(table[:, :4], table[:, 4].astype(np.int64), table[:, 5].astype(bool))


def found(*rows: tuple[float, float, float, float, float, int]) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


def devkit_ap(detections: list[Floats], truths: list[VocTruth], label: int, points: Points) -> float:
    """VOCevaldet.m and VOCap.m, loop by loop."""
    ranked = sorted(
        ((-d[4], i, n, d) for i, ds in enumerate(detections) for n, d in enumerate(ds) if d[5] == label),
        key=lambda row: row[:3],
    )
    taken: set[tuple[int, int]] = set()
    hits, misses = [], []
    for _, image, _, d in ranked:
        best, which = -math.inf, -1
        for j, box in enumerate(truths[image].boxes):
            if truths[image].classes[j] != label:
                continue
            width = min(d[2], box[2]) - max(d[0], box[0]) + 1
            height = min(d[3], box[3]) - max(d[1], box[1]) + 1
            if width > 0 and height > 0:
                union = (
                    (d[2] - d[0] + 1) * (d[3] - d[1] + 1)
                    + (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
                    - width * height
                )
                if width * height / union > best:
                    best, which = width * height / union, j
        if best >= 0.5 and truths[image].difficult[which]:
            continue
        hit = best >= 0.5 and (image, which) not in taken
        taken |= {(image, which)} if hit else set()
        hits.append(hit)
        misses.append(not hit)
    objects = sum(int(((t.classes == label) & ~t.difficult).sum()) for t in truths)
    if not objects:
        return float("nan")
    tp, fp = np.cumsum(hits, dtype=float), np.cumsum(misses, dtype=float)
    recall, precision = tp / objects, tp / (tp + fp)
    if points == "11":
        return (
            sum(max((p for r, p in zip(recall, precision, strict=True) if r >= i / 10), default=0.0) for i in range(11))
            / 11
        )
    area, reached = 0.0, 0.0
    for n, r in enumerate(recall):
        area += (r - reached) * max(precision[n:])
        reached = r
    return float(area)


SMALL = st.integers(1, 12)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x, y, w, h = (draw(SMALL) for _ in range(4))
    return x, y, x + w, y + h


@st.composite
def images(draw: st.DrawFn) -> tuple[Floats, VocTruth]:
    truths = [(*draw(boxes()), draw(st.integers(0, 1)), draw(st.booleans())) for _ in range(draw(st.integers(0, 4)))]
    dets = [
        (*draw(boxes()), draw(st.sampled_from([0.1, 0.5, 0.9])), draw(st.integers(0, 1)))
        for _ in range(draw(st.integers(0, 6)))
    ]
    return found(*dets), truth(*truths)


@given(st.lists(images(), min_size=1, max_size=4), st.sampled_from(["11", "area"]))
def test_it_is_what_the_development_kit_computes(data: list[tuple[Floats, VocTruth]], points: Points) -> None:
    detections, truths = [d for d, _ in data], [t for _, t in data]
    results = voc_ap(detections, truths, 2, points)
    expected = [devkit_ap(detections, truths, label, points) for label in range(2)]
    assert [r.ap for r in results] == pytest.approx(expected, nan_ok=True)


def test_pixels_at_both_ends_of_a_box_count() -> None:
    one = np.array([[1.0, 1, 1, 1]])
    assert inclusive_iou(one, one).tolist() == [[1.0]]
    assert inclusive_iou(np.array([[1.0, 1, 4, 4]]), np.array([[1.0, 1, 4, 2]])).tolist() == [[0.5]]
    assert inclusive_iou(one, np.array([[2.0, 2, 3, 3]])).tolist() == [[0.0]]


def test_a_detection_whose_best_object_is_taken_is_a_false_positive() -> None:
    # The second detection overlaps the first object by 0.8 and the second, which is free, by 0.64.
    truths = [truth((1, 1, 100, 100, 0, False), (1, 31, 100, 130, 0, False))]
    detections = [found((1, 1, 100, 100, 0.9, 0), (1, 12, 100, 111, 0.8, 0))]
    (result,) = voc_ap(detections, truths, 1, "area")
    assert result.precision.tolist() == [1.0, 0.5]
    assert result.ap == pytest.approx(0.5)


def test_difficult_objects_are_neither_found_nor_missed() -> None:
    truths = [truth((1, 1, 10, 10, 0, True), (50, 50, 60, 60, 0, False))]
    detections = [found((1, 1, 10, 10, 0.9, 0), (1, 1, 10, 10, 0.8, 0), (50, 50, 60, 60, 0.7, 0))]
    (result,) = voc_ap(detections, truths, 1, "area")
    assert result.objects == 1
    assert result.precision.tolist() == [1.0]
    assert result.ap == 1.0


def test_classes_without_objects_are_absent_from_the_mean() -> None:
    truths = [truth((1, 1, 10, 10, 0, False), (1, 1, 10, 10, 2, True))]
    detections = [found((1, 1, 10, 10, 0.9, 0), (1, 1, 10, 10, 0.9, 1), (1, 1, 10, 10, 0.9, 2))]
    results = voc_ap(detections, truths, 4, "11")
    assert [math.isnan(r.ap) for r in results] == [False, True, True, True]
    assert mean_ap(results) == 1.0
    assert math.isnan(mean_ap(results[1:]))


def test_the_eleven_points_are_exact_tenths() -> None:
    # Recall 3/10 is reached exactly; numpy's arange(0, 1.1, 0.1)[3] lies above it.
    recall, precision = np.arange(1, 4) / 10, np.ones(3)
    assert average_precision(recall, precision, 11) == pytest.approx(4 / 11)
    assert average_precision(recall, precision) == pytest.approx(0.3)


def test_area_takes_the_best_precision_at_any_higher_recall() -> None:
    recall, precision = np.array([0.25, 0.25, 0.5, 0.75]), np.array([1.0, 0.5, 2 / 3, 0.75])
    assert average_precision(recall, precision) == pytest.approx(0.25 + 0.5 * 0.75)


def test_no_images_and_no_detections_give_zero_or_nothing() -> None:
    assert math.isnan(voc_ap([], [], 1, "11")[0].ap)
    (result,) = voc_ap([found()], [truth((1, 1, 10, 10, 0, False))], 1, "area")
    assert result.ap == 0.0
