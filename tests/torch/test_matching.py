from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from prune.metrics.matching import (
    IGNORED,
    UNMATCHED,
    coco_overlap,
    first_of_each,
    match_coco,
    match_darknet,
    match_voc,
    same_class,
)

Floats = NDArray[np.float64]
SCORES = np.array([0.9, 0.8, 0.7])


def boxes(*rows: tuple[float, float, float, float]) -> Floats:
    return np.array(rows, np.float64).reshape(-1, 4)


def none(count: int) -> NDArray[np.bool_]:
    return np.zeros(count, np.bool_)


def test_the_rules_differ_where_the_best_object_is_taken() -> None:
    # The second detection overlaps the taken object more than the free one.
    overlap = np.array([[0.9, 0.1], [0.8, 0.6]])
    assert match_coco(overlap, SCORES[:2], none(2)).tolist() == [0, 1]
    assert match_voc(overlap, SCORES[:2], none(2)).tolist() == [0, UNMATCHED]
    assert match_darknet(overlap, SCORES[:2], none(2)).tolist() == [0, UNMATCHED]


def test_an_overlap_of_exactly_the_threshold_is_enough_except_for_darknet() -> None:
    overlap = np.array([[0.5]])
    assert match_coco(overlap, SCORES[:1], none(1)).tolist() == [0]
    assert match_voc(overlap, SCORES[:1], none(1)).tolist() == [0]
    assert match_darknet(overlap, SCORES[:1], none(1)).tolist() == [UNMATCHED]


def test_a_detection_between_an_object_and_a_difficult_one_counts_for_darknet_only() -> None:
    # Best overlapped: the difficult object. VOC leaves the detection out, Darknet takes the other object.
    overlap, difficult = np.array([[0.6, 0.8]]), np.array([False, True])
    assert match_voc(overlap, SCORES[:1], difficult).tolist() == [IGNORED]
    assert match_darknet(overlap, SCORES[:1], difficult).tolist() == [0]


def test_ignored_objects_take_any_number_of_detections() -> None:
    overlap, hidden = np.full((3, 1), 0.9), np.array([True])
    for pair in (match_coco, match_voc, match_darknet):
        assert pair(overlap, SCORES, hidden).tolist() == [IGNORED] * 3


def test_the_best_scored_detection_gets_the_object_whatever_its_position() -> None:
    overlap, scores = np.full((3, 1), 0.9), np.array([0.2, 0.9, 0.9])
    for pair in (match_coco, match_voc, match_darknet):
        assert pair(overlap, scores, none(1)).tolist() == [UNMATCHED, 0, UNMATCHED]


def test_without_objects_all_detections_are_unmatched() -> None:
    for pair in (match_coco, match_voc, match_darknet):
        assert pair(np.zeros((2, 0)), SCORES[:2], none(0)).tolist() == [UNMATCHED, UNMATCHED]
        assert pair(np.zeros((0, 2)), SCORES[:0], none(2)).tolist() == []


def test_objects_of_another_class_are_never_found() -> None:
    overlap = same_class(np.ones((2, 2)), np.array([0.0, 1.0]), np.array([1, 1]))
    assert overlap.tolist() == [[-1, -1], [1, 1]]
    # Not even with a threshold of 0.
    assert match_voc(overlap, SCORES[:2], none(2), iou=0.0).tolist() == [UNMATCHED, 0]


def test_only_the_best_of_an_object_keeps_it() -> None:
    assert first_of_each(np.array([3, UNMATCHED, 3, 1]), np.array([0.1, 0.9, 0.2, 0.3])).tolist() == [
        UNMATCHED,
        UNMATCHED,
        3,
        1,
    ]


def test_the_overlap_with_a_crowd_is_the_share_of_the_detection() -> None:
    found, objects = boxes((0, 0, 10, 10)), boxes((5, 0, 100, 100), (5, 0, 100, 100))
    overlap = coco_overlap(found, objects, np.array([False, True]))
    assert overlap[0] == pytest.approx([50 / (100 + 9500 - 50), 0.5])


SIDE = st.integers(1, 8)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
    """Detections and objects of one class on a small grid, so that equal overlaps and scores occur."""

    def some(limit: int) -> Floats:
        rows = []
        for _ in range(draw(st.integers(0, limit))):
            x, y, w, h = (draw(SIDE) for _ in range(4))
            rows.append((x, y, x + w, y + h))
        return boxes(*rows)

    found, objects = some(6), some(5)
    crowd = np.array([draw(st.booleans()) for _ in objects], np.bool_)
    scores = np.array([draw(st.sampled_from([0.3, 0.6, 0.9])) for _ in found])
    return found, objects, crowd, scores


def of_pycocotools(found: Floats, objects: Floats, crowd: NDArray[np.bool_], scores: Floats) -> list[int]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entries(rows: Floats, **columns: Any) -> list[dict[str, Any]]:
        return [
            {
                "id": n + 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [r[0], r[1], r[2] - r[0], r[3] - r[1]],
                "area": 1.0,
                "iscrowd": 0,
            }
            | {name: values[n] for name, values in columns.items()}
            for n, r in enumerate(rows.tolist())
        ]

    sets = [COCO(), COCO()]
    annotations = entries(objects, iscrowd=crowd.astype(int).tolist()), entries(found, score=scores.tolist())
    with contextlib.redirect_stdout(io.StringIO()):
        for coco, rows in zip(sets, annotations, strict=True):
            coco.dataset = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": rows}
            coco.createIndex()
        evaluation = COCOeval(*sets, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    image = evaluation.evalImgs[0]
    if image is None:
        return [UNMATCHED] * len(found)
    matches = dict.fromkeys(range(len(found)), UNMATCHED)
    for number, match, ignored in zip(image["dtIds"], image["dtMatches"][0], image["dtIgnore"][0], strict=True):
        matches[number - 1] = IGNORED if ignored else int(match) - 1
    return list(matches.values())


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_cocos_rule_is_that_of_pycocotools(scene: tuple[Floats, Floats, NDArray[np.bool_], Floats]) -> None:
    found, objects, crowd, scores = scene
    assert match_coco(coco_overlap(found, objects, crowd), scores, crowd).tolist() == of_pycocotools(
        found, objects, crowd, scores
    )
