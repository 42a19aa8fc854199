from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from prune.detect.settings import EvaluateSettings
from prune.errors import DataError
from prune.metrics.confusion import confusion_matrix
from prune.metrics.detections import Detected
from prune.metrics.findings import best_rows, findings
from prune.metrics.measure import check_objects, measure, protocol_notes, with_findings
from prune.metrics.operating_point import best_operating_point
from prune.metrics.result import Inference, Metrics
from prune.metrics.settings import Protocol
from prune.samples.sample import Annotation, SampleSet, sample_from_pixels

Floats = NDArray[np.float64]
Row = tuple[float, float, float, float, float, int]
NAMES = ("cat", "dog", "owl")
SIZE = (100, 100)
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


def image(objects: list[Annotation], *rows: Row, name: str = "a.png") -> Detected:
    sample = sample_from_pixels(Path(name), name, SIZE, objects)
    return Detected(sample, SIZE, np.array(rows, np.float64).reshape(-1, 6))


def thing(label: int, *edges: float, difficult: bool = False, crowd: bool = False) -> Annotation:
    x0, y0, x1, y1 = edges
    return Annotation(label, (x0, y0, x1, y1), difficult, crowd, area=(x1 - x0) * (y1 - y0))


INFERENCE = Inference(img_size=(64, 32), fit="letterbox", conf=0.001, nms=0.6)


def measured(protocol: Protocol, *images: Detected) -> tuple[Metrics, SampleSet]:
    samples = SampleSet(tuple(d.sample for d in images), NAMES)
    return measure(images, samples, EvaluateSettings(ap=protocol), INFERENCE), samples


CAT, DOG = thing(0, 10, 10, 40, 40), thing(1, 50, 50, 90, 90)
FOUND_CAT, FOUND_DOG = (10.0, 10.0, 40.0, 40.0, 0.9, 0), (50.0, 50.0, 90.0, 90.0, 0.8, 1)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.booleans()), max_size=12), st.integers(0, 4))
def test_the_best_threshold_is_the_best_of_all(rows: list[tuple[float, bool]], missed: int) -> None:
    rows = sorted(rows, key=lambda row: -row[0])
    scores, hits = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], np.bool_)
    objects = int(hits.sum()) + missed
    best = best_operating_point(scores, hits, objects)
    counts = {t: (int(hits[scores >= t].sum()), int((~hits[scores >= t]).sum())) for t in set(scores.tolist())}
    f1 = {t: 2 * tp / (tp + fp + objects) for t, (tp, fp) in counts.items() if objects}
    if not f1 or max(f1.values()) == 0:
        assert best is None
        return
    assert best is not None
    assert best.f1 == pytest.approx(max(f1.values()))
    assert best.threshold == max(t for t, value in f1.items() if value == pytest.approx(best.f1))
    assert (best.tp, best.fp) == counts[best.threshold]
    assert best.fn == objects - best.tp


def test_precision_recall_and_f1_are_of_the_reported_detections() -> None:
    images = [image([CAT, DOG], FOUND_CAT, (0, 0, 9, 9, 0.85, 0), FOUND_DOG), image([DOG], name="b.png")]
    metrics, samples = measured("voc10", *images)
    found = findings(images, samples, metrics)
    assert found.overall is not None
    assert (found.overall.threshold, found.overall.tp, found.overall.fp, found.overall.fn) == (0.8, 2, 1, 1)
    assert list(found.overall.summary()) == ["threshold", "hits", "false", "missed", "precision", "recall", "f1"]
    assert dict(best_rows(found)) == pytest.approx(
        {"best threshold": 0.8, "best precision": 2 / 3, "best recall": 2 / 3, "best f1": 2 / 3}
    )
    cat, dog, owl = found.curves
    assert cat.best is not None
    assert (cat.best.threshold, cat.best.precision, cat.best.recall) == (0.9, 1.0, 1.0)
    assert (dog.name, dog.objects) == ("dog", 2)
    assert dog.ap == pytest.approx(0.5)
    assert (owl.objects, owl.ap, owl.best) == (0, None, None)
    assert found.sizes == {"small": 1.0, "medium": pytest.approx(0.5)}


def test_the_confusion_matrix_counts_every_object_once() -> None:
    images = [
        # The dog is detected as a cat, the owl is missed, one detection lies on nothing.
        image([CAT, DOG, thing(2, 0, 90, 9, 99)], FOUND_CAT, (52, 50, 90, 90, 0.7, 0), (70, 0, 99, 20, 0.6, 1)),
        # The score is too low to be reported.
        image([CAT], (10, 10, 40, 40, 0.1, 0), name="b.png"),
    ]
    matrix = confusion_matrix(images, NAMES, conf=0.5)
    assert matrix.counts.tolist() == [[1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]
    assert matrix.labels == (*NAMES, "background")
    assert matrix.csv().splitlines()[0] == "true \\ detected,cat,dog,owl,background"
    assert matrix.csv().splitlines()[2] == "dog,1,0,0,0"


@pytest.mark.parametrize("kind", ["difficult", "crowd"])
def test_ignored_objects_and_what_is_found_there_are_not_in_the_confusion_matrix(kind: str) -> None:
    ignored = replace(DOG, **{kind: True})  # type: ignore[arg-type]
    matrix = confusion_matrix([image([CAT, ignored], FOUND_CAT, FOUND_DOG)], NAMES, conf=0.5)
    assert matrix.counts.sum() == matrix.counts[0, 0] == 1


def test_the_worst_images_come_first_with_their_reasons() -> None:
    good = image([CAT], FOUND_CAT)
    bad = image([CAT, DOG], (0, 60, 20, 80, 0.9, 0), (60, 0, 80, 20, 0.9, 2), name="bad.png")
    poor = image([CAT, DOG], FOUND_CAT, name="poor.png")
    metrics, samples = measured("voc10", good, bad, poor)
    worst = findings([good, bad, poor], samples, metrics).worst
    assert [w.image.name for w in worst] == ["bad.png", "poor.png"]
    assert worst[0].reason == "2 of 2 objects missed, 2 false positives"
    assert worst[1].reason == "1 of 2 objects missed"
    assert (worst[1].right.tolist(), worst[1].missed.tolist()) == ([True], [False, True])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_perfect_detections_score_one_whatever_the_protocol(protocol: Protocol) -> None:
    images = [image([CAT, DOG], FOUND_CAT, FOUND_DOG)]
    metrics, samples = measured(protocol, *images)
    # Darknet counts the class without objects as 0.
    assert metrics.ap50 == pytest.approx(2 / 3 if protocol == "darknet" else 1.0)
    assert metrics.per_class == pytest.approx({"cat": 1.0, "dog": 1.0})
    assert (metrics.protocol, metrics.images) == (protocol, 1)
    found = findings(images, samples, metrics)
    assert found.protocol.startswith(protocol)
    assert "1 images, 64x32 letterbox, conf 0.001, nms 0.6" in found.protocol
    assert not found.worst


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_empty_result_scores_zero_and_has_no_best_threshold(protocol: Protocol) -> None:
    images = [image([CAT]), image([], name="b.png")]
    metrics, samples = measured(protocol, *images)
    found = findings(images, samples, metrics)
    assert (metrics.ap50, found.overall, best_rows(found)) == (0.0, None, [])
    assert found.confusion.counts[0, 3] == found.confusion.counts.sum() == 1
    assert found.sizes == {"small": 0.0}
    assert "best" not in with_findings(metrics, found).summary()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_set_without_an_object_that_counts_is_refused(protocol: Protocol) -> None:
    metrics, samples = measured(protocol, image([], FOUND_CAT))
    assert metrics.numbers == {}
    with pytest.raises(DataError, match="no image of the valid set has an object that counts"):
        check_objects(samples, metrics)
    check_objects(*reversed(measured(protocol, image([CAT]))))  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_images_without_objects_only_add_false_positives(protocol: Protocol) -> None:
    alone, _ = measured(protocol, image([CAT], FOUND_CAT))
    alarm = (10.0, 10.0, 40.0, 40.0, 0.95, 0)
    beside, _ = measured(protocol, image([CAT], FOUND_CAT), image([], alarm, name="b.png"))
    quiet, _ = measured(protocol, image([CAT], FOUND_CAT), image([], name="b.png"))
    assert alone.per_class["cat"] == quiet.per_class["cat"] == pytest.approx(1.0)
    assert beside.per_class["cat"] == pytest.approx(0.5)


def test_what_a_protocol_has_no_rule_for_is_reported() -> None:
    difficult, crowd = replace(CAT, difficult=True), replace(DOG, crowd=True)
    metrics, samples = measured("coco", image([CAT, difficult, crowd]))
    notes = protocol_notes(samples, metrics)
    assert len(notes) == 2
    assert notes[0].startswith("1 difficult objects count")
    assert "2 of 3 classes without objects are not in the mean: dog, owl" in notes[1]
    notes = protocol_notes(samples, measured("darknet", image([CAT, difficult, crowd]))[0])
    assert notes[0].startswith("above score 0.25: TP 0, FP 0, FN 1, average IoU 0.0000")
    assert notes[1].startswith("1 crowd regions count as difficult")
    assert "count as AP 0" in notes[2]


@pytest.mark.parametrize("protocol", ["voc07", "voc10", "darknet"])
def test_a_crowd_region_is_not_an_object_outside_cocos_protocol_either(protocol: Protocol) -> None:
    crowd = thing(1, 50, 50, 90, 90, crowd=True)
    metrics, _ = measured(protocol, image([CAT, crowd], FOUND_CAT, FOUND_DOG))
    assert metrics.per_class == pytest.approx({"cat": 1.0})


@pytest.mark.parametrize(("protocol", "ap"), [("voc07", 4 / 11), ("voc10", 0.3)])
def test_voc_of_2007_has_11_recalls_and_voc_of_2010_the_area(protocol: Protocol, ap: float) -> None:
    """3 of 10 cats are found: recall 3/10 is reached exactly, and with it the recalls 0, 0.1, 0.2 and 0.3."""
    cats = [thing(0, 10 * n, 10, 10 * n + 8, 40) for n in range(10)]
    rows = [(10.0 * n, 10.0, 10.0 * n + 8, 40.0, 0.9, 0) for n in range(3)]
    metrics, _ = measured(protocol, image(cats, *rows))
    assert metrics.ap50 == pytest.approx(ap)
    assert metrics.per_class == pytest.approx({"cat": ap})


def test_every_result_names_its_conditions() -> None:
    images = [image([CAT, DOG], FOUND_CAT, FOUND_DOG)]
    metrics, samples = measured("darknet", *images)
    summary = with_findings(metrics, findings(images, samples, metrics)).summary()
    keys = "protocol images img_size fit resize conf_thres nms_thres nms_kind iou_thres points at_thresh best confusion"
    assert set(keys.split()) <= set(summary)
    assert (summary["points"], summary["at_thresh"]["tp"], summary["at_thresh"]["thresh"]) == (0, 2, 0.25)
    assert summary["classes"]["cat"]["threshold"] == 0.9
    assert summary["best"]["recall_by_size"] == {"small": 1.0, "medium": 1.0}


def test_cocos_classes_have_all_metrics() -> None:
    images = [image([CAT, DOG], FOUND_CAT, FOUND_DOG)]
    metrics, samples = measured("coco", *images)
    header, rows = with_findings(metrics, findings(images, samples, metrics)).class_table()
    assert header[:4] == ["class", "ap", "ap50", "ap75"]
    assert {"ap_small", "ar100", "precision", "recall", "f1", "threshold"} <= set(header)
    assert [row[0] for row in rows] == ["cat", "dog"]
    dog = dict(zip(header, rows[1], strict=True))
    assert (dog["ap_medium"], dog["ap_small"], dog["f1"]) == (pytest.approx(1.0), None, 1.0)
