from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from prune.detect.settings import EvaluateSettings
from prune.errors import DataError
from prune.metrics.coco_results import read_results, results_categories, results_entries, write_results
from prune.metrics.measure import measure
from prune.metrics.result import ResultsFile
from prune.samples.coco_json import read_coco
from prune.samples.sample import Annotation, SampleSet, sample_from_pixels
from tests.shared import SHARED, needs_shared

SIZE = (100, 80)
BOX = [10.0, 10.0, 40.0, 30.0]


def image_set(
    folder: Path, ids: tuple[int | str, ...] = (7, 3), categories: tuple[int, ...] | None = (4, 9)
) -> SampleSet:
    cat = Annotation(0, (10, 10, 50, 40), area=1200.0)
    samples = tuple(sample_from_pixels(folder / f"{i}.jpg", i, SIZE, [cat]) for i in ids)
    return SampleSet(samples, ("cat", "dog"), "voc" if categories is None else "coco", category_ids=categories)


def entry(**changes: Any) -> dict[str, Any]:
    return {"image_id": 7, "category_id": 4, "bbox": BOX, "score": 0.9} | changes


def written(folder: Path, *entries: Any) -> Path:
    path = folder / "found.json"
    path.write_text(json.dumps(list(entries)))
    return path


def test_each_image_gets_its_detections_by_falling_score(tmp_path: Path) -> None:
    path = written(tmp_path, entry(score=0.2), entry(image_id=3, category_id=9), entry(score=0.8, bbox=[0, 0, 5, 5]))
    (seven, three), faults = read_results(path, image_set(tmp_path))
    assert seven.found.tolist() == [[0, 0, 5, 5, 0.8, 0], [10, 10, 50, 40, 0.2, 0]]
    assert three.found.tolist() == [[10, 10, 50, 40, 0.9, 1]]
    assert (three.sample.image_id, three.size_wh) == (3, SIZE)
    assert not faults


def test_images_without_entries_have_no_detections(tmp_path: Path) -> None:
    samples = image_set(tmp_path)
    for path in (written(tmp_path), written(tmp_path, entry())):
        detected, _ = read_results(path, samples)
        assert [d.sample.image_id for d in detected] == [7, 3]
        assert detected[1].found.shape == (0, 6)


def test_a_set_without_category_ids_counts_them_from_one(tmp_path: Path) -> None:
    samples = image_set(tmp_path, categories=None)
    assert results_categories(samples) == (1, 2)
    (seven, _), _ = read_results(written(tmp_path, entry(category_id=2)), samples)
    assert seven.found[0, 5] == 1


def test_numbers_find_the_images_of_a_set_that_names_them_by_files(tmp_path: Path) -> None:
    samples = image_set(tmp_path, ids=("000012", "b"))
    (twelve, other), _ = read_results(written(tmp_path, entry(image_id=12), entry(image_id="b")), samples)
    assert (len(twelve.found), len(other.found)) == (1, 1)
    with pytest.raises(DataError, match="not in the set"):
        read_results(written(tmp_path, entry(image_id=12)), image_set(tmp_path, ids=("12", "012")))


@pytest.mark.parametrize("spell", [float, str])
def test_ids_are_numbers_however_they_are_written(tmp_path: Path, spell: Any) -> None:
    path = written(tmp_path, entry(image_id=spell(3), category_id=spell(9)))
    (_, three), _ = read_results(path, image_set(tmp_path))
    assert three.found.tolist() == [[10, 10, 50, 40, 0.9, 1]]


def test_numbers_as_text_find_images_whose_ids_are_numbers_as_text(tmp_path: Path) -> None:
    path = written(tmp_path, entry(image_id=12), entry(image_id="7.jpg"))
    (first, second), _ = read_results(path, image_set(tmp_path, ("12", "7.jpg")))
    assert (len(first.found), len(second.found)) == (1, 1)


def test_an_ambiguous_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of 1 results are for images that are not in the set"):
        read_results(written(tmp_path, entry(image_id=7)), image_set(tmp_path, ("7", "07")))


def test_boxes_in_fractions_are_reported_as_a_fault(tmp_path: Path) -> None:
    small = entry(bbox=[0.1, 0.1, 0.3, 0.4])
    _, faults = read_results(written(tmp_path, small, small), image_set(tmp_path))
    assert [kind for kind in faults.counts if "fractions of the image" in kind]
    _, faults = read_results(written(tmp_path, small, entry()), image_set(tmp_path))
    assert not faults


def test_results_for_images_that_are_not_in_the_set_are_refused_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, entry(), entry(image_id=8), entry(image_id=None), entry(image_id=True))
    with pytest.raises(
        DataError, match=r"3 of 4 results .* not in the set .*entry 2: image_id 8.*begin with 7"
    ) as caught:
        read_results(path, image_set(tmp_path))
    assert "\n" not in str(caught.value)
    assert "evaluate on the data" in str(caught.value)


def test_an_entry_that_names_another_file_than_the_set_is_refused(tmp_path: Path) -> None:
    samples = image_set(tmp_path)
    detected, _ = read_results(written(tmp_path, entry(file_name="photos\\7.jpg")), samples)
    assert len(detected[0].found) == 1
    with pytest.raises(DataError, match=r"entry 1: image_id 7 is 7\.jpg in the set, but the entry names 3\.jpg"):
        read_results(written(tmp_path, entry(file_name="photos/3.jpg")), samples)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category_id": 5}, r"category_id 5 is not one of the set's \(4, 9\)"),
        ({"category_id": None}, "category_id None"),
        ({"bbox": BOX[:3]}, "bbox must be x, y, width and height"),
        ({"bbox": [0, 0, -1, 4]}, "bbox must be"),
        ({"bbox": [0, 0, float("nan"), 4]}, "bbox must be"),
        ({"bbox": None}, "bbox must be"),
        ({"score": float("inf")}, "score must be a number"),
        ({"score": "0.5"}, "score must be a number"),
    ],
)
def test_a_faulty_entry_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"found.json: entry 2: .*{message}"):
        read_results(written(tmp_path, entry(), entry(**changes)), image_set(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"image_id": 1,\n', r"found\.json:2: is not JSON"),
        ('{"images": [], "annotations": []}', "is an annotation file; a COCO results file is a list"),
        ('{"a": 1}', "is not a list of objects"),
        ("[1, 2]", "is not a list of objects"),
        ("[" * 100_000, "is not JSON that can be read"),
    ],
)
def test_a_file_without_results_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "found.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_results(tmp_path / "found.json", image_set(tmp_path))


def test_an_image_of_unknown_size_is_left_out_and_named(tmp_path: Path) -> None:
    listed = image_set(tmp_path, categories=None)
    unsized = SampleSet(tuple(replace(s, size_wh=None, edges_xyxy=None) for s in listed.samples), listed.names)
    cv2.imwrite(str(tmp_path / "7.jpg"), np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    detected, faults = read_results(written(tmp_path, entry(category_id=1)), unsized)
    assert [d.size_wh for d in detected] == [SIZE]
    assert "3.jpg" in faults.summary()
    metrics = measure(detected, unsized, EvaluateSettings(), ResultsFile(tmp_path / "found.json", 1))
    assert (metrics.images, metrics.skipped, metrics.ap50) == (1, 1, 1.0)
    assert metrics.title == "voc10, 1 images, 1 detections of found.json"
    (tmp_path / "7.jpg").unlink()
    with pytest.raises(DataError, match="nor can any other"):
        read_results(written(tmp_path), unsized)


@needs_shared
def test_a_results_file_scores_the_same_as_with_pycocotools(tmp_path: Path) -> None:
    annotations = SHARED / "coco-mini/annotations/instances_val2017.json"
    names = tuple((SHARED / "weights/coco.names").read_text().split("\n")[:80])
    samples = read_coco(annotations, names, SHARED / "coco-mini/val2017")
    rng = np.random.default_rng(0)
    found = [np.concatenate(list(_guesses(rng, s.pixel_edges(s.size_wh or SIZE), s.classes))) for s in samples.samples]
    ids = [sample.image_id for sample in samples.samples]
    write_results(tmp_path / "found.json", results_entries(found, ids, results_categories(samples)))
    detected, _ = read_results(tmp_path / "found.json", samples)
    metrics = measure(detected, samples, EvaluateSettings(), ResultsFile(tmp_path / "found.json", 0))
    expected = _pycocotools(annotations, tmp_path / "found.json")
    assert list(metrics.numbers.values()) == pytest.approx(expected, abs=1e-12)
    assert 0.05 < metrics.numbers["ap"] < 0.95


def _guesses(rng: np.random.Generator, boxes: Any, classes: Any) -> Iterator[Any]:
    """The objects, moved, some of them twice."""
    yield np.zeros((0, 6))
    for box, label in zip(boxes, classes, strict=True):
        for _ in range(rng.integers(0, 3)):
            moved = box + rng.normal(0, 0.05, 4) * np.tile(box[2:] - box[:2], 2)
            yield np.array([[*np.minimum(moved[:2], moved[2:] - 1), *moved[2:], rng.random(), label]])


def _pycocotools(annotations: Path, results: Path) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]
