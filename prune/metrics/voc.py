"""Average precision by the rules of the PASCAL VOC development kit (Everingham et al. 2010, section 4.2;
VOCdevkit, VOCevaldet.m and VOCap.m)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prune.metrics.curve import Curve, MatchedDetections, average_precision, class_curves, count_objects
from prune.metrics.matching import inclusive_iou, match_voc, same_class

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Points = Literal["11", "area"]
_POINTS: dict[Points, int] = {"11": 11, "area": 0}


@dataclass(frozen=True, slots=True, eq=False)
class VocTruth:
    """The objects of one image: boxes (m, 4) xmin ymin xmax ymax in pixels, both ends inclusive; classes (m,)
    from 0; difficult (m,)."""

    boxes: Floats
    classes: NDArray[np.int64]
    difficult: Bools


def voc_ap(
    detections: Sequence[Floats], truths: Sequence[VocTruth], classes: int, points: Points, iou: float = 0.5
) -> list[Curve]:
    """AP of each class.

    detections: per image (n, 6): box as in `VocTruth`, score, class. points: "11" averages the precision at
    recall 0, 0.1 … 1 (VOC 2007); "area" takes the area under the curve (VOC 2010 on).

    A detection belongs to the object of its class and image that it overlaps best. If the overlap is less than
    `iou`, or a better-scored detection has taken the object, it is a false positive; if the object is
    difficult, the detection does not count at all.
    """
    matched = [_matched(found, truth, iou) for found, truth in zip(detections, truths, strict=True)]
    objects = count_objects([truth.classes for truth in truths], [truth.difficult for truth in truths], classes)
    return class_curves(matched, objects, partial(average_precision, points=_POINTS[points]))


def _matched(found: Floats, truth: VocTruth, iou: float) -> MatchedDetections:
    overlap = same_class(inclusive_iou(found[:, :4], truth.boxes), found[:, 5], truth.classes)
    return MatchedDetections(found[:, 4], found[:, 5], match_voc(overlap, found[:, 4], truth.difficult, iou))


def mean_ap(results: Sequence[Curve]) -> float:
    """The mean over the classes that have objects; NaN if none has."""
    known = [result.ap for result in results if result.objects]
    return float(np.mean(known)) if known else float("nan")
