"""mAP as `darknet detector map` of AlexeyAB's Darknet counts it, peculiarities included (validate_detector_map in
src/detector.c; it reproduces the behaviour, it is not a translation).

Where it differs from VOC's rules: boxes are not in whole pixels; an overlap must be *above* the threshold; a detection
that matches an object that counts is never ignored for a difficult one that it overlaps better; and a class without
objects has AP 0 and lowers the mean. The counts for one confidence are computed apart from the curve, see
`DarknetCounts`. With 0 points, early versions of Darknet leave out the area up to the recall of the very first
detection; here it counts, as in later versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from prune.metrics.curve import Curve, MatchedDetections, average_precision, class_curves, count_objects
from prune.metrics.matching import IGNORED, UNMATCHED, best_darknet, first_of_each, same_class
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
    """What Darknet prints "for conf_thresh": true positives (`tp`) and false positives (`fp`) of each class, and the
    sum of the true positives' overlaps.

    Only the first detection of an object can find it, whatever its score: if that is below the threshold, the object
    is not found and those after it are false positives. Detections of difficult objects are false positives here,
    although the AP leaves them out. (The order within an image is Darknet's own, left by its NMS; here it is the order
    in which the detections are given. It only matters where two detections match one object.)
    """

    tp: tuple[int, ...]
    fp: tuple[int, ...]
    overlap: float


@dataclass(frozen=True, slots=True, eq=False)
class DarknetResult:
    """`map`: the mean of the classes' AP, to which a class without objects adds 0. `curves`: of each class. `objects`:
    how many there are. The rest is for the requested confidence."""

    map: float
    curves: tuple[Curve, ...]
    counts: DarknetCounts
    objects: int

    @property
    def tp(self) -> int:
        """Darknet's TP."""
        return sum(self.counts.tp)

    @property
    def fp(self) -> int:
        """Darknet's FP."""
        return sum(self.counts.fp)

    @property
    def average_iou(self) -> float:
        """The true positives' overlaps over true *and* false positives."""
        detections = self.tp + self.fp
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

    points: 0 for the area under the curve, else the number of recalls (Darknet's `-points`: 11, 101); iou: its
    `-iou_thresh`; thresh: its `-thresh`, for the counts.
    """
    pairs = [_best_objects(found, truth, iou) for found, truth in zip(detections, truths, strict=True)]
    matched = [_matched(found, best) for found, (best, _) in zip(detections, pairs, strict=True)]
    objects = count_objects([t.classes for t in truths], [t.difficult for t in truths], classes)
    curves = class_curves(matched, objects, partial(average_precision, points=points))
    mean = float(np.mean([curve.ap if curve.objects else 0.0 for curve in curves])) if curves else 0.0
    return DarknetResult(mean, tuple(curves), _count(detections, pairs, classes, thresh), sum(objects))


def _best_objects(found: Floats, truth: DarknetTruth, iou: float) -> tuple[Ints, Floats]:
    """(n,) the object of each detection by `best_darknet`, and (n,) the overlap with it."""
    overlap = same_class(pairwise_iou(found[:, :4], truth.boxes), found[:, 5], truth.classes)
    best = best_darknet(overlap, truth.difficult, iou)
    return best, np.array([overlap[row, at] if at >= 0 else 0.0 for row, at in enumerate(best)])


def _matched(found: Floats, best: Ints) -> MatchedDetections:
    matches = np.where(best == IGNORED, IGNORED, first_of_each(np.maximum(best, UNMATCHED), found[:, 4]))
    return MatchedDetections(found[:, 4], found[:, 5], matches)


def _count(
    detections: Sequence[Floats], pairs: Sequence[tuple[Ints, Floats]], classes: int, thresh: float
) -> DarknetCounts:
    tp, fp, total = np.zeros(classes, np.int64), np.zeros(classes, np.int64), 0.0
    for found, (best, overlap) in zip(detections, pairs, strict=True):
        first = np.zeros(len(best), np.bool_)
        first[np.unique(best, return_index=True)[1]] = True
        above = found[:, 4] > thresh
        right = above & first & (best >= 0)
        labels = found[:, 5].astype(np.int64)
        tp += np.bincount(labels[right], minlength=classes)
        fp += np.bincount(labels[above & ~right], minlength=classes)
        total += float(overlap[right].sum())
    return DarknetCounts(tuple(tp.tolist()), tuple(fp.tolist()), total)
