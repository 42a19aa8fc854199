"""COCO's average precision, computed by pycocotools, and COCO results files.

Truths are handed over with ids counted from 1, since pycocotools scores an annotation of id 0 as absent.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.darknet.files import atomic_write

Floats = NDArray[np.float64]


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
    """AP over IoU 0.50:0.95, at 0.50 and at 0.75, of each class, and by object size; None (for a class NaN)
    where no object counts."""

    ap: float | None
    ap50: float | None
    ap75: float | None
    per_class: tuple[float, ...]
    small: float | None
    medium: float | None
    large: float | None


def coco_ap(detections: Sequence[Floats], truths: Sequence[CocoTruth], classes: int) -> CocoResult:
    """Measure detections, per image (n, 6): box as in `CocoTruth`, score, class.

    At most 100 detections per image and class count, the best ones (Lin et al. 2014; cocodataset.org,
    "Detection evaluation").
    """
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = _coco(_truth_annotations(truths), len(truths), classes)
        found = _coco(_detection_annotations(detections), len(truths), classes)
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    ap, ap50, ap75, small, medium, large = (None if s < 0 else float(s) for s in evaluation.stats[:6])
    # precision: IoU threshold, recall, class, object size (0: all), detections per image (-1: 100).
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    per_class = (_mean_or_nan(precision[:, :, label]) for label in range(classes))
    return CocoResult(ap, ap50, ap75, tuple(per_class), small, medium, large)


def _mean_or_nan(precision: Floats) -> float:
    """pycocotools writes -1 where a class has no object."""
    return float(precision.mean()) if (precision >= 0).all() else float("nan")


def _coco(annotations: list[dict[str, Any]], images: int, classes: int) -> Any:
    """A COCO object made in memory: `loadRes` would fail on an empty list."""
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {
        "images": [{"id": i + 1} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": label, "name": str(label)} for label in range(classes)],
    }
    coco.createIndex()
    return coco


def _truth_annotations(truths: Sequence[CocoTruth]) -> list[dict[str, Any]]:
    rows = [
        {"image_id": i + 1, "category_id": int(label), "bbox": box, "area": float(area), "iscrowd": int(crowd)}
        for i, truth in enumerate(truths)
        for box, label, area, crowd in zip(_xywh(truth.boxes), truth.classes, truth.areas, truth.crowd, strict=True)
    ]
    return [row | {"id": number} for number, row in enumerate(rows, start=1)]


def _detection_annotations(detections: Sequence[Floats]) -> list[dict[str, Any]]:
    rows = [
        {
            "image_id": i + 1,
            "category_id": int(label),
            "bbox": box,
            "area": box[2] * box[3],
            "score": float(score),
            "iscrowd": 0,
        }
        for i, found in enumerate(detections)
        for box, score, label in zip(_xywh(found), found[:, 4], found[:, 5], strict=True)
    ]
    return [row | {"id": number} for number, row in enumerate(rows, start=1)]


def _xywh(boxes: Floats) -> list[list[float]]:
    """(n, ≥4) xyxy → COCO's [left, top, width, height]."""
    rows: list[list[float]] = np.concatenate((boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]), axis=1).tolist()
    return rows


def results_entries(
    detections: Sequence[Floats], image_ids: Sequence[int | str], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Detections per image as entries of a COCO results file, in the ids of the annotation file.

    `category_ids[c]` is the id of class c. Boxes are rounded to 1e-3 pixels.
    """
    return [
        {
            "image_id": image_id,
            "category_id": int(category_ids[int(label)]),
            "bbox": [round(value, 3) for value in box],
            "score": round(float(score), 6),
        }
        for image_id, found in zip(image_ids, detections, strict=True)
        for box, score, label in zip(_xywh(found), found[:, 4], found[:, 5], strict=True)
    ]


def write_results(path: Path | str, entries: Sequence[dict[str, Any]]) -> None:
    """Write a COCO results file."""
    atomic_write(path, json.dumps(list(entries)))
