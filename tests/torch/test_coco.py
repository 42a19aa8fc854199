from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from prune.metrics.coco import Backend, CocoResult, CocoTruth, coco_ap
from prune.metrics.coco_results import results_entries, write_results

Floats = NDArray[np.float64]
Measure = Callable[[Sequence[Floats], Sequence[CocoTruth], int], CocoResult]
TWELVE = [
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
]


@pytest.fixture(params=["pycocotools", "hotcoco"])
def measure(request: pytest.FixtureRequest) -> Measure:
    """`coco_ap` by each library that is installed."""
    backend: Backend = request.param
    pytest.importorskip(backend)
    return lambda detections, truths, classes: coco_ap(detections, truths, classes, backend)


def truth(*rows: tuple[float, float, float, float, int, bool], area: float | None = None) -> CocoTruth:
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    size = table[:, 2:4] - table[:, :2]
    areas = size.prod(1) if area is None else np.full(len(table), area)
    return CocoTruth(table[:, :4], table[:, 4].astype(np.int64), table[:, 5].astype(bool), areas)


def found(*rows: tuple[float, float, float, float, float, int]) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


def crowded_images(images: int, classes: int, seed: int = 0) -> tuple[list[Floats], list[CocoTruth]]:
    """Objects of all sizes, some of them crowds, and detections around them, some with equal scores."""
    rng = np.random.default_rng(seed)
    detections, truths = [], []
    for _ in range(images):
        count = int(rng.integers(0, 12))
        corner, size = rng.uniform(0, 400, (count, 2)), rng.uniform(5, 200, (count, 2))
        boxes, labels = np.concatenate((corner, corner + size), 1), rng.integers(0, classes, count)
        truths.append(CocoTruth(boxes, labels, rng.random(count) < 0.1, size.prod(1) * rng.uniform(0.5, 1, count)))
        near = rng.integers(0, count, 40) if count else np.zeros(0, np.int64)
        edges = boxes[near] + rng.normal(0, 8, (len(near), 4))
        edges[:, 2:] = np.maximum(edges[:, 2:], edges[:, :2] + 1)
        right = rng.random(len(near)) < 0.8
        found_labels = np.where(right, labels[near], rng.integers(0, classes, len(near)))
        detections.append(np.column_stack((edges, rng.random(len(near)).round(2), found_labels)))
    return detections, truths


def numbers_of(evaluation: Any) -> Mapping[str, float]:
    """The numbers of pycocotools' own summary, which has −1 for what is not defined."""
    return {name: value for name, value in zip(TWELVE, evaluation.stats, strict=True) if value > -1}


def test_perfect_detections_score_one_also_for_the_first_annotation(
    measure: Measure, capfd: pytest.CaptureFixture[str]
) -> None:
    result = measure([found((0, 0, 50, 50, 0.9, 0))], [truth((0, 0, 50, 50, 0, False))], 2)
    names = [name for name in TWELVE if not name.endswith(("small", "large"))]
    assert result.numbers == pytest.approx(dict.fromkeys(names, 1.0))
    assert result.classes == (result.numbers, {})
    assert capfd.readouterr().out == ""


def test_no_detections_score_zero(measure: Measure) -> None:
    result = measure([found(), found()], [truth((0, 0, 50, 50, 0, False)), truth()], 1)
    assert set(result.numbers.values()) == {0.0}
    assert {"ap", "ap50", "ar100"} < set(result.numbers)


def test_without_objects_there_is_no_value(measure: Measure) -> None:
    result = measure([found((0, 0, 50, 50, 0.9, 0))], [truth()], 1)
    assert (result.numbers, result.classes) == ({}, ({},))


def test_a_loose_box_counts_at_the_low_thresholds_only(measure: Measure) -> None:
    # IoU 0.72: correct at 0.50 … 0.70, five of ten thresholds.
    result = measure([found((0, 0, 72, 100, 0.9, 0))], [truth((0, 0, 100, 100, 0, False))], 1)
    assert [result.numbers[name] for name in ("ap", "ap50", "ap75")] == pytest.approx([0.5, 1, 0])


def test_detections_inside_a_crowd_are_not_mistakes(measure: Measure) -> None:
    objects = (0, 0, 50, 50, 0, False), (100, 100, 300, 300, 0, True)
    detections = [found((110, 110, 150, 150, 0.95, 0), (200, 200, 240, 240, 0.95, 0), (0, 0, 50, 50, 0.9, 0))]
    assert measure(detections, [truth(*objects)], 1).numbers["ap"] == pytest.approx(1)
    assert measure(detections, [truth((0, 0, 50, 50, 0, False))], 1).numbers["ap"] == pytest.approx(1 / 3)


def test_size_is_that_of_the_annotated_area(measure: Measure) -> None:
    result = measure([found((0, 0, 50, 50, 0.9, 0))], [truth((0, 0, 50, 50, 0, False), area=900.0)], 1)
    assert result.numbers["ap_small"] == pytest.approx(1)
    assert "ap_medium" not in result.numbers


def test_recall_is_counted_for_one_ten_and_a_hundred_detections(measure: Measure) -> None:
    objects = [(100 * n, 0, 100 * n + 50, 50, 0, False) for n in range(20)]
    detections = found(*((x0, y0, x1, y1, 0.9 - n / 100, 0) for n, (x0, y0, x1, y1, _, _) in enumerate(objects)))
    numbers = measure([detections], [truth(*objects)], 1).numbers
    assert [numbers[name] for name in ("ar1", "ar10", "ar100")] == pytest.approx([0.05, 0.5, 1.0])


def test_all_twelve_numbers_are_those_of_pycocotools_own_summary(
    measure: Measure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    detections, truths = crowded_images(30, 4)
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(truths, start=1):
        for (x0, y0, x1, y1), label, crowd, area in zip(
            image.boxes.tolist(), image.classes.tolist(), image.crowd.tolist(), image.areas.tolist(), strict=True
        ):
            box = [x0, y0, x1 - x0, y1 - y0]
            row = {"image_id": number, "category_id": label + 1, "bbox": box, "area": area, "iscrowd": int(crowd)}
            annotations.append(row | {"id": len(annotations) + 1})
    instances = {
        "images": [{"id": n} for n in range(1, 31)],
        "categories": [{"id": n, "name": str(n)} for n in range(1, 5)],
    }
    (tmp_path / "truth.json").write_text(json.dumps(instances | {"annotations": annotations}))
    results = [
        {"image_id": n, "category_id": int(c) + 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": s}
        for n, image in enumerate(detections, start=1)
        for x0, y0, x1, y1, s, c in image.tolist()
    ]
    known = COCO(str(tmp_path / "truth.json"))
    evaluation = COCOeval(known, known.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    capsys.readouterr()
    expected = numbers_of(evaluation)
    assert len(expected) == 12
    assert measure(detections, truths, 4).numbers == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_fast_library_gives_the_same_numbers_bit_for_bit(seed: int) -> None:
    pytest.importorskip("hotcoco")
    detections, truths = crowded_images(25, 5, seed)
    # A class without objects, one without detections, and an image with neither.
    truths = [*(CocoTruth(t.boxes, t.classes, t.crowd, t.areas) for t in truths), truth()]
    detections = [*(d[d[:, 5] != 1] for d in detections), found((0, 0, 9, 9, 0.5, 6))]
    slow, fast = (coco_ap(detections, truths, 8, backend) for backend in ("pycocotools", "hotcoco"))
    assert fast.numbers == slow.numbers
    assert fast.classes == slow.classes
    assert coco_ap(detections, truths, 8).backend == "hotcoco"


def test_without_the_fast_library_pycocotools_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prune.metrics.coco.find_spec", lambda _name: None)
    assert coco_ap([found()], [truth((0, 0, 50, 50, 0, False))], 1).backend == "pycocotools"


def test_results_have_the_ids_of_the_annotation_file(tmp_path: Path) -> None:
    entries = results_entries([found((1, 2, 4, 8, 0.5, 1)), found()], [17, 18], [1, 90])
    write_results(tmp_path / "detections.json", entries)
    assert json.loads((tmp_path / "detections.json").read_text()) == [
        {"image_id": 17, "category_id": 90, "bbox": [1.0, 2.0, 3.0, 6.0], "score": 0.5}
    ]


def test_detections_of_a_class_without_a_category_are_left_out_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        entries = results_entries([found((0, 0, 9, 9, 0.5, 0), (0, 0, 9, 9, 0.4, 1))], [0], [7, -1])
    assert [entry["category_id"] for entry in entries] == [7]
    assert "1 detections of classes" in caplog.text
