from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from prune.metrics.darknet import DarknetTruth, darknet_map

Floats = NDArray[np.float64]
Row = tuple[float, float, float, float, float, int]


def truth(*rows: tuple[float, float, float, float, int, bool]) -> DarknetTruth:
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return DarknetTruth(table[:, :4], table[:, 4].astype(np.int64), table[:, 5].astype(bool))


def found(*rows: Row) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


OBJECT = (0.0, 0.0, 10.0, 10.0, 0, False)


def test_a_true_and_a_false_positive() -> None:
    result = darknet_map([found((0, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.8, 0))], [truth(OBJECT)], 1)
    assert result.map == pytest.approx(1.0)
    assert (result.tp, result.fp, result.objects) == (1, 1, 1)
    # Darknet divides the overlaps of the true positives by all detections.
    assert result.average_iou == pytest.approx(0.5)


def test_a_class_without_objects_lowers_the_mean() -> None:
    result = darknet_map([found((0, 0, 10, 10, 0.9, 0))], [truth(OBJECT)], 4)
    assert result.map == pytest.approx(0.25)
    assert [curve.objects for curve in result.curves] == [1, 0, 0, 0]


def test_an_overlap_must_be_above_the_threshold() -> None:
    half = [found((0, 0, 10, 5, 0.9, 0))]
    assert darknet_map(half, [truth(OBJECT)], 1).map == 0.0
    assert darknet_map(half, [truth(OBJECT)], 1, iou=0.49).map == pytest.approx(1.0)


def test_the_best_overlapped_object_is_taken_and_a_second_detection_of_it_is_false() -> None:
    objects = truth(OBJECT, (0, 3, 10, 13, 0, False))
    detections = [found((0, 0, 10, 10, 0.9, 0), (0, 1, 10, 11, 0.8, 0))]
    result = darknet_map(detections, [objects], 1)
    assert result.curves[0].tp.tolist() == [True, False]
    assert result.map == pytest.approx(0.5)


def test_difficult_objects_leave_the_curve_but_not_the_counts() -> None:
    objects = truth((0, 0, 10, 10, 0, True), (50, 50, 60, 60, 0, False))
    detections = [found((0, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.8, 0))]
    result = darknet_map(detections, [objects], 1)
    assert result.map == pytest.approx(1.0)
    assert result.curves[0].tp.tolist() == [True]
    # Darknet counts the removed detection as a false positive for its "for conf_thresh" line.
    assert (result.tp, result.fp, result.objects) == (1, 1, 1)


def test_a_difficult_object_does_not_hide_a_true_positive() -> None:
    # The detection lies on the difficult object, and overlaps the other one by 9/11.
    objects = truth((0, 0, 10, 10, 0, True), (0, 1, 10, 11, 0, False))
    assert darknet_map([found((0, 0, 10, 10, 0.9, 0))], [objects], 1).map == pytest.approx(1.0)


def test_an_object_whose_first_detection_is_below_the_threshold_is_not_found_in_the_counts() -> None:
    detections = [found((0, 0, 10, 10, 0.1, 0), (0, 0, 10, 10, 0.9, 0))]
    result = darknet_map(detections, [truth(OBJECT)], 1)
    assert (result.tp, result.fp) == (0, 1)
    assert result.map == pytest.approx(1.0)
    in_order = darknet_map([detections[0][::-1]], [truth(OBJECT)], 1)
    assert (in_order.tp, in_order.fp) == (1, 0)


def test_the_counts_are_of_scores_above_the_threshold() -> None:
    detections = [found((0, 0, 10, 10, 0.25, 0))]
    assert darknet_map(detections, [truth(OBJECT)], 1, thresh=0.25).tp == 0
    assert darknet_map(detections, [truth(OBJECT)], 1, thresh=0.24).tp == 1


@pytest.mark.parametrize(("points", "expected"), [(0, 0.5), (11, 6 / 11), (101, 51 / 101)])
def test_recall_points_count_the_ends(points: int, expected: float) -> None:
    objects = truth(OBJECT, (50, 50, 60, 60, 0, False))
    assert darknet_map([found((0, 0, 10, 10, 0.9, 0))], [objects], 1, points).map == pytest.approx(expected)


def test_a_first_detection_that_hits_counts_with_its_whole_recall() -> None:
    # Versions of Darknet before 2020 lost the area before the first detection.
    result = darknet_map([found((0, 0, 10, 10, 0.9, 0))], [truth(OBJECT)], 1)
    assert result.curves[0].ap == pytest.approx(1.0)


def test_no_detections_and_no_images_give_zero() -> None:
    result = darknet_map([found()], [truth(OBJECT)], 1)
    assert (result.map, result.tp, result.fp, result.average_iou) == (0.0, 0, 0, 0.0)
    assert darknet_map([], [], 2, 11).map == 0.0


def test_an_image_without_labels_only_adds_false_positives() -> None:
    detections = [found((0, 0, 10, 10, 0.5, 0)), found((0, 0, 10, 10, 0.9, 0))]
    result = darknet_map(detections, [truth(OBJECT), truth()], 1)
    assert result.map == pytest.approx(0.5)
    assert result.fp == 1


Hit = tuple[int, int] | None


def _hit(box: list[float], label: float, image: int, objects: DarknetTruth) -> tuple[Hit, bool]:
    """The object that a detection belongs to, and whether a difficult one hides it."""
    best, hit, hidden = 0.5, None, False
    for j, other in enumerate(objects.boxes.tolist()):
        w, h = (min(box[k + 2], other[k + 2]) - max(box[k], other[k]) for k in (0, 1))
        common = w * h if w > 0 and h > 0 else 0.0
        areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other))
        overlap = common / (areas - common)
        if objects.classes[j] != label or overlap <= 0.5:
            continue
        if objects.difficult[j]:
            hidden = True
        elif overlap > best:
            best, hit = overlap, (image, j)
    return hit, hidden


def _table(listed: list[tuple[float, int, Hit]], label: int, objects: int) -> list[tuple[float, float]]:
    """Recall and precision of a class after each detection of any class."""
    taken, tp, fp, table = set[Hit](), 0, 0, []
    for _, mine, hit in sorted(listed, key=lambda row: -row[0]):
        if mine == label:
            new = hit is not None and hit not in taken
            taken.add(hit)
            tp, fp = tp + new, fp + (not new)
        table.append((tp / objects if objects else 0.0, tp / (tp + fp) if tp + fp else 0.0))
    return table


def _average(table: list[tuple[float, float]], points: int) -> float:
    if points:
        grid = [i / (points - 1) for i in range(points)]
        return sum(max((p for r, p in table if r >= g), default=0.0) for g in grid) / points
    if not table:
        return 0.0
    (recall, precision), area = table[-1], 0.0
    for r, p in reversed(table[:-1]):
        precision = max(precision, p)
        area += (recall - r) * precision
        recall = r
    return area + recall * precision


def rank_by_rank(detections: list[Floats], truths: list[DarknetTruth], classes: int, points: int) -> float:
    """The mean AP from a table of all classes at all ranks, going down the ranks for the area."""
    listed = []
    for image, (rows, objects) in enumerate(zip(detections, truths, strict=True)):
        for *box, score, label in rows.tolist():
            hit, hidden = _hit(box, label, image, objects)
            if hit or not hidden:
                listed.append((score, int(label), hit))
    counts = [sum(int(((t.classes == label) & ~t.difficult).sum()) for t in truths) for label in range(classes)]
    tables = (_table(listed, label, count) for label, count in enumerate(counts))
    return sum(_average(table, points) for table in tables) / classes


SMALL = st.integers(1, 9)


@st.composite
def images(draw: st.DrawFn) -> tuple[Floats, DarknetTruth]:
    def box() -> tuple[float, float, float, float]:
        x, y, w, h = (draw(SMALL) for _ in range(4))
        return x, y, x + w, y + h

    objects = [(*box(), draw(st.integers(0, 1)), draw(st.booleans())) for _ in range(draw(st.integers(0, 4)))]
    rows = [(*box(), draw(st.floats(0.01, 1)), draw(st.integers(0, 1))) for _ in range(draw(st.integers(0, 6)))]
    return found(*rows), truth(*objects)


@settings(deadline=None)
@given(st.lists(images(), min_size=1, max_size=4), st.sampled_from([0, 11, 101]))
def test_it_is_what_a_table_of_all_ranks_gives(data: list[tuple[Floats, DarknetTruth]], points: int) -> None:
    detections, truths = [d for d, _ in data], [t for _, t in data]
    scores = np.concatenate([d[:, 4] for d in detections])
    if len(np.unique(scores)) < len(scores):  # Darknet's qsort leaves their order open
        return
    result = darknet_map(detections, truths, 2, points).map
    assert math.isclose(result, rank_by_rank(detections, truths, 2, points), abs_tol=1e-9)
