"""The confusion matrix: which class is detected as which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.metrics.csv_text import csv_text
from prune.metrics.detections import Detected
from prune.metrics.matching import coco_overlap, greedy_pairs

BACKGROUND = "background"


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """counts[true, detected] (C+1, C+1): objects of class `true` that were reported as `detected`. The last row counts
    detections where there is no object, the last column objects that were not found. `conf`: the lowest score of the
    detections, `iou`: their least overlap with an object."""

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    conf: float
    iou: float

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of rows and columns."""
        return (*self.names, BACKGROUND)

    def summary(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"labels": list(self.labels), "counts": self.counts.tolist(), "conf": self.conf, "iou": self.iou}

    def csv(self) -> str:
        """A table with a header line; one line for each true class."""
        rows = ([label, *counts] for label, counts in zip(self.labels, self.counts.tolist(), strict=True))
        return csv_text([("true \\ detected", *self.labels), *rows])


def confusion_matrix(detected: Sequence[Detected], names: Sequence[str], conf: float, iou: float = 0.5) -> Confusion:
    """Match detections and objects one to one whatever their class, the largest overlap first (of equal overlaps the
    highest score), and count. Ignored objects are left out, with the detections that only overlap them."""
    counts = np.zeros((len(names) + 1, len(names) + 1), np.int64)
    for image in detected:
        _count_image(counts, image, conf, iou)
    return Confusion(tuple(names), counts, conf, iou)


def _count_image(counts: NDArray[np.int64], image: Detected, conf: float, iou: float) -> None:
    found, ignored = image.found[image.found[:, 4] >= conf], image.ignored
    overlap = coco_overlap(found, image.boxes, image.sample.crowd)
    background = len(counts) - 1
    pairs = greedy_pairs(overlap[:, ~ignored], found[:, 4], iou)
    labels, truths = found[:, 5].astype(np.int64), image.sample.classes[~ignored]
    false = np.ones(len(found), np.bool_)
    missed = np.ones(len(truths), np.bool_)
    for row, column in pairs:
        counts[truths[column], labels[row]] += 1
        false[row] = missed[column] = False
    false &= ~(overlap[:, ignored] >= iou).any(1)
    counts[background] += np.bincount(labels[false], minlength=len(counts))
    counts[:, background] += np.bincount(truths[missed], minlength=len(counts))
