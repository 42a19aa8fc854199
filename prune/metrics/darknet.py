"""mAP as `darknet detector map` of AlexeyAB's Darknet counts it, peculiarities included (validate_detector_map in
src/detector.c; the behaviour only, this is no translation).

Where it differs from VOC's rules: boxes are not in whole pixels; an overlap must be *above* the threshold; a detection
that hits an object that counts is never ignored for a difficult one that it overlaps better; and a class without
objects has AP 0 and lowers the mean. The counts for one confidence are made apart from the curve, see
`DarknetCounts`. Early versions of Darknet leave out, with 0 points, the area up to the recall of the very first
detection; here it counts, as in the later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from prune.metrics.curve import Curve, Judged, average_precision, class_curves, count_objects
from prune.metrics.matching import IGNORED, MISS, best_darknet, first_of_each, same_class
from prune.samples.boxes import pairwise_iou

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class DarknetTruth:
    """The objects of one image: boxes (m, 4) xyxy in the unit of the detections, classes (m,) from 0, difficult (m,):
    those of Darknet's `difficult=` list."""

    boxes: Floats
    classes: Ints
    difficult: Bools


@dataclass(frozen=True, slots=True)
class DarknetCounts:
    """What Darknet prints "for conf_thresh": hits and false alarms of each class, and the sum of the hits' overlaps.

    An object counts as found by the first of its detections, wherever that one's score lies: if it is below the
    threshold, the object stays unfound and those after it are false alarms. Detections of difficult objects are false
    alarms here, although the AP leaves them out. (The order within an image is Darknet's own, left by its NMS; here it
    is the order in which the detections are given. It only matters where two detections hit one object.)
    """

    hits: tuple[int, ...]
    false: tuple[int, ...]
    overlap: float


@dataclass(frozen=True, slots=True, eq=False)
class DarknetResult:
    """`map`: the mean of the classes' AP, to which a class without objects adds 0. `curves`: of each class. `objects`:
    how many there are. The rest is for the confidence that was asked for."""

    map: float
    curves: tuple[Curve, ...]
    counts: DarknetCounts
    objects: int

    @property
    def hits(self) -> int:
        """Darknet's TP."""
        return sum(self.counts.hits)

    @property
    def false(self) -> int:
        """Darknet's FP."""
        return sum(self.counts.false)

    @property
    def average_iou(self) -> float:
        """The hits' overlaps over hits *and* false alarms."""
        detections = self.hits + self.false
        return self.counts.overlap / detections if detections else 0.0


def darknet_map(
    detections: Sequence[Floats],
    truths: Sequence[DarknetTruth],
    classes: int,
    points: int = 0,
    iou: float = 0.5,
    thresh: float = 0.25,
) -> DarknetResult:
    """Measure detections, per image (n, 6): box as in `DarknetTruth`, score, class.

    points: 0 for the area under the curve, else so many recalls (Darknet's `-points`: 11, 101); iou: its
    `-iou_thresh`; thresh: its `-thresh`, for the counts.
    """
    seen = [_look(found, truth, iou) for found, truth in zip(detections, truths, strict=True)]
    judged = [_judge(found, best) for found, (best, _) in zip(detections, seen, strict=True)]
    objects = count_objects([t.classes for t in truths], [t.difficult for t in truths], classes)
    curves = class_curves(judged, objects, partial(average_precision, points=points))
    mean = float(np.mean([curve.ap if curve.objects else 0.0 for curve in curves])) if curves else 0.0
    return DarknetResult(mean, tuple(curves), _count(detections, seen, classes, thresh), sum(objects))


def _look(found: Floats, truth: DarknetTruth, iou: float) -> tuple[Ints, Floats]:
    """(n,) the object of each detection as `best_darknet` has it, and (n,) by how much it is overlapped."""
    overlap = same_class(pairwise_iou(found[:, :4], truth.boxes), found[:, 5], truth.classes)
    best = best_darknet(overlap, truth.difficult, iou)
    return best, np.array([overlap[row, at] if at >= 0 else 0.0 for row, at in enumerate(best)])


def _judge(found: Floats, best: Ints) -> Judged:
    matches = np.where(best == IGNORED, IGNORED, first_of_each(np.maximum(best, MISS), found[:, 4]))
    return Judged(found[:, 4], found[:, 5], matches)


def _count(
    detections: Sequence[Floats], seen: Sequence[tuple[Ints, Floats]], classes: int, thresh: float
) -> DarknetCounts:
    hits, false, total = np.zeros(classes, np.int64), np.zeros(classes, np.int64), 0.0
    for found, (best, overlap) in zip(detections, seen, strict=True):
        first = np.zeros(len(best), np.bool_)
        first[np.unique(best, return_index=True)[1]] = True
        above = found[:, 4] > thresh
        hit = above & first & (best >= 0)
        labels = found[:, 5].astype(np.int64)
        hits += np.bincount(labels[hit], minlength=classes)
        false += np.bincount(labels[above & ~hit], minlength=classes)
        total += float(overlap[hit].sum())
    return DarknetCounts(tuple(hits.tolist()), tuple(false.tolist()), total)
