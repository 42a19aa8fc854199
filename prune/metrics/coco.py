"""COCO's average precision and recall: twelve numbers over all classes, and the same for each class.

pycocotools computes them, or, where it is installed, hotcoco, which is many times faster. Both only fill the tables of
precision and recall; the means over these are taken here. Objects are passed with ids counted from 1, since
pycocotools treats an annotation with id 0 as absent.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Backend = Literal["pycocotools", "hotcoco"]

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""The areas in pixels², both ends included, of COCO's three sizes of objects."""


@dataclass(frozen=True, slots=True, eq=False)
class CocoTruth:
    """The objects of one image: boxes (m, 4) xyxy in pixels (edges, from 0), classes (m,) from 0, crowd (m,)
    (iscrowd), areas (m,) in pixels²."""

    boxes: Floats
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: Floats


@dataclass(frozen=True, slots=True)
class CocoResult:
    """`numbers`: COCO's twelve by name, without those for which no object counts: ap (IoU 0.50:0.95), ap50, ap75,
    ap_small, ap_medium, ap_large; ar1, ar10, ar100 (average recall with 1, 10, 100 detections per image and class),
    ar_small, ar_medium, ar_large. `classes`: the same for each class. `backend`: the library that computed them."""

    numbers: Mapping[str, float]
    classes: tuple[Mapping[str, float], ...]
    backend: Backend


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """precision (IoU threshold, recall, class, size, limit) and recall (IoU threshold, class, size, limit); sizes: all,
    small, medium, large; limits: 1, 10, 100 detections. −1 where a class has no object of that size."""

    precision: Floats
    recall: Floats


def coco_ap(
    detections: Sequence[Floats], truths: Sequence[CocoTruth], classes: int, backend: Backend | None = None
) -> CocoResult:
    """Measure detections, per image (n, 6): box as in `CocoTruth`, score, class.

    At most 100 detections per image and class count, the best ones (Lin et al. 2014; cocodataset.org,
    "Detection evaluation"). `backend`: None takes the faster one that is installed.
    """
    backend = backend or ("hotcoco" if find_spec("hotcoco") else "pycocotools")
    compute = _by_hotcoco if backend == "hotcoco" else _by_pycocotools
    tables = compute(_detection_rows(detections), _truth_rows(truths), len(truths), classes)
    per_class = (_numbers(tables, slice(label, label + 1)) for label in range(classes))
    return CocoResult(_numbers(tables, slice(None)), tuple(per_class), backend)


def _numbers(tables: _Tables, classes: slice) -> dict[str, float]:
    """The twelve numbers of some classes, those that are defined."""
    precision, recall = tables.precision[:, :, classes], tables.recall[:, classes]
    found = {"ap": precision[..., 0, 2], "ap50": precision[0, ..., 0, 2], "ap75": precision[5, ..., 0, 2]}
    found |= {f"ap_{name}": precision[..., at, 2] for at, name in enumerate(SIZES, start=1)}
    found |= {f"ar{limit}": recall[..., 0, at] for at, limit in enumerate((1, 10, 100))}
    found |= {f"ar_{name}": recall[..., at, 2] for at, name in enumerate(SIZES, start=1)}
    defined = {name: values[values > -1] for name, values in found.items()}
    return {name: float(np.mean(values)) for name, values in defined.items() if len(values)}


def _detection_rows(detections: Sequence[Floats]) -> Floats:
    """(n, 7): image (from 1), left, top, width, height, score, class."""
    images = np.repeat(np.arange(1, len(detections) + 1), [len(found) for found in detections])
    rows = np.concatenate([np.zeros((0, 6)), *detections])
    return np.column_stack((images, rows[:, :2], rows[:, 2:4] - rows[:, :2], rows[:, 4:6]))


def _truth_rows(truths: Sequence[CocoTruth]) -> Floats:
    """(m, 8): image (from 1), left, top, width, height, class, crowd, area."""
    images = np.repeat(np.arange(1, len(truths) + 1), [len(truth.classes) for truth in truths])
    boxes = np.concatenate([np.zeros((0, 4)), *(truth.boxes for truth in truths)])
    rest = [np.zeros((0, 3)), *(np.column_stack((t.classes, t.crowd, t.areas)) for t in truths)]
    return np.column_stack((images, boxes[:, :2], boxes[:, 2:] - boxes[:, :2], np.concatenate(rest)))


def _headings(images: int, classes: int) -> dict[str, list[dict[str, Any]]]:
    return {
        "images": [{"id": number} for number in range(1, images + 1)],
        "categories": [{"id": label, "name": str(label)} for label in range(classes)],
    }


def _by_hotcoco(found: Floats, truth: Floats, images: int, classes: int) -> _Tables:
    from hotcoco import COCO, COCOeval

    headings, whole = _headings(images, classes), truth.astype(np.int64)
    objects = COCO.from_arrays(
        headings["images"],
        headings["categories"],
        image_ids=whole[:, 0],
        category_ids=whole[:, 5],
        boxes=truth[:, 1:5],
        ids=np.arange(1, len(truth) + 1),
        area=truth[:, 7],
        iscrowd=whole[:, 6],
    )
    evaluation = COCOeval(objects, objects.load_res(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    return _tables(evaluation)


def _by_pycocotools(found: Floats, truth: Floats, images: int, classes: int) -> _Tables:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    # COCO objects made in memory: `loadRes` would fail on an empty list.
    sets = [COCO(), COCO()]
    with contextlib.redirect_stdout(io.StringIO()):
        for coco, annotations in zip(sets, (_truth_annotations(truth), _detection_annotations(found)), strict=True):
            coco.dataset = _headings(images, classes) | {"annotations": annotations}
            coco.createIndex()
        evaluation = COCOeval(*sets, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return _tables(evaluation)


def _tables(evaluation: Any) -> _Tables:
    return _Tables(np.asarray(evaluation.eval["precision"]), np.asarray(evaluation.eval["recall"]))


def _truth_annotations(rows: Floats) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image_id": int(image),
            "category_id": int(label),
            "bbox": box,
            "area": area,
            "iscrowd": int(crowd),
        }
        for number, (image, *box, label, crowd, area) in enumerate(rows.tolist(), start=1)
    ]


def _detection_annotations(rows: Floats) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image_id": int(image),
            "category_id": int(label),
            "bbox": box,
            "area": box[2] * box[3],
            "score": score,
            "iscrowd": 0,
        }
        for number, (image, *box, score, label) in enumerate(rows.tolist(), start=1)
    ]
