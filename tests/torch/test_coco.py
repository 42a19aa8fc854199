from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from prune.detect.coco import CocoTruth, coco_ap, results_entries, write_results

Floats = NDArray[np.float64]


def truth(*rows: tuple[float, float, float, float, int, bool], area: float | None = None) -> CocoTruth:
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    size = table[:, 2:4] - table[:, :2]
    areas = size.prod(1) if area is None else np.full(len(table), area)
    return CocoTruth(table[:, :4], table[:, 4].astype(np.int64), table[:, 5].astype(bool), areas)


def found(*rows: tuple[float, float, float, float, float, int]) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


def test_perfect_detections_score_one_also_for_the_first_annotation(
    capfd: pytest.CaptureFixture[str],
) -> None:
    result = coco_ap([found((0, 0, 50, 50, 0.9, 0))], [truth((0, 0, 50, 50, 0, False))], 2)
    assert (result.ap, result.ap50, result.ap75) == pytest.approx((1, 1, 1))
    assert result.per_class[0] == pytest.approx(1)
    assert math.isnan(result.per_class[1])
    assert result.medium == pytest.approx(1)
    assert result.small is None
    assert result.large is None
    assert capfd.readouterr().out == ""


def test_no_detections_score_zero() -> None:
    result = coco_ap([found(), found()], [truth((0, 0, 50, 50, 0, False)), truth()], 1)
    assert (result.ap, result.ap50, result.ap75, result.per_class) == (0.0, 0.0, 0.0, (0.0,))


def test_without_objects_there_is_no_value() -> None:
    result = coco_ap([found((0, 0, 50, 50, 0.9, 0))], [truth()], 1)
    assert result.ap is None
    assert math.isnan(result.per_class[0])


def test_a_loose_box_counts_at_the_low_thresholds_only() -> None:
    # IoU 0.72: right at 0.50 … 0.70, five of ten thresholds.
    result = coco_ap([found((0, 0, 72, 100, 0.9, 0))], [truth((0, 0, 100, 100, 0, False))], 1)
    assert result.ap == pytest.approx(0.5)
    assert (result.ap50, result.ap75) == pytest.approx((1, 0))


def test_detections_inside_a_crowd_are_no_mistakes() -> None:
    objects = (0, 0, 50, 50, 0, False), (100, 100, 300, 300, 0, True)
    detections = [found((110, 110, 150, 150, 0.95, 0), (200, 200, 240, 240, 0.95, 0), (0, 0, 50, 50, 0.9, 0))]
    assert coco_ap(detections, [truth(*objects)], 1).ap == pytest.approx(1)
    assert coco_ap(detections, [truth((0, 0, 50, 50, 0, False))], 1).ap == pytest.approx(1 / 3)


def test_size_is_that_of_the_annotated_area() -> None:
    result = coco_ap([found((0, 0, 50, 50, 0.9, 0))], [truth((0, 0, 50, 50, 0, False), area=900.0)], 1)
    assert result.small == pytest.approx(1)
    assert result.medium is None


def test_results_have_the_ids_of_the_annotation_file(tmp_path: Path) -> None:
    entries = results_entries([found((1, 2, 4, 8, 0.5, 1)), found()], [17, 18], [1, 90])
    write_results(tmp_path / "detections.json", entries)
    assert json.loads((tmp_path / "detections.json").read_text()) == [
        {"image_id": 17, "category_id": 90, "bbox": [1.0, 2.0, 3.0, 6.0], "score": 0.5}
    ]
