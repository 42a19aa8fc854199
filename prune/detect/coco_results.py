"""COCO results files: what a network found, in the ids of an annotation file."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.darknet.files import atomic_write

Floats = NDArray[np.float64]
_log = logging.getLogger(__name__)


def results_entries(
    detections: Sequence[Floats], image_ids: Sequence[int | str], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Detections per image, (n, 6) x0 y0 x1 y1 in pixels, score, class, as entries of a COCO results file.

    `category_ids[c]` is the id of class c; detections of a class without one (below 0) are left out, with a warning.
    Boxes are rounded to 1e-3 pixels.
    """
    entries, left_out = [], 0
    for image_id, found in zip(image_ids, detections, strict=True):
        for x0, y0, x1, y1, score, label in found[:, :6].tolist():
            if category_ids[int(label)] < 0:
                left_out += 1
                continue
            box = [round(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)]
            category = int(category_ids[int(label)])
            entries.append({"image_id": image_id, "category_id": category, "bbox": box, "score": round(score, 6)})
    if left_out:
        _log.warning("%d detections of classes that the annotations have no category for are left out", left_out)
    return entries


def write_results(path: Path | str, entries: Sequence[dict[str, Any]]) -> None:
    """Write a COCO results file."""
    atomic_write(path, json.dumps(list(entries)))
