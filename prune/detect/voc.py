"""Average precision by the rules of the PASCAL VOC development kit (Everingham et al. 2010, section 4.2;
VOCdevkit, VOCevaldet.m and VOCap.m)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Points = Literal["11", "area"]


@dataclass(frozen=True, slots=True, eq=False)
class VocTruth:
    """The objects of one image: boxes (m, 4) xmin ymin xmax ymax in pixels, both ends inclusive; classes (m,)
    from 0; difficult (m,)."""

    boxes: Floats
    classes: NDArray[np.int64]
    difficult: Bools


@dataclass(frozen=True, slots=True, eq=False)
class VocClass:
    """What was measured for one class: AP (NaN where it has no object that counts), how many such objects
    there are, and the curve: recall and precision (n,) after each detection that counts, by falling score."""

    ap: float
    objects: int
    recall: Floats
    precision: Floats
    scores: Floats


def voc_ap(
    detections: Sequence[Floats], truths: Sequence[VocTruth], classes: int, points: Points, iou: float = 0.5
) -> list[VocClass]:
    """AP of each class.

    detections: per image (n, 6): box as in `VocTruth`, score, class. points: "11" averages the precision at
    recall 0, 0.1 … 1 (VOC 2007); "area" takes the area under the curve (VOC 2010 on).

    A detection belongs to the object of its class and image that it overlaps best. If that is by less than
    `iou`, or the object was taken by a better-scored detection, it is a false positive; if the object is
    difficult, the detection does not count at all.
    """
    return [_class_ap(detections, truths, label, points, iou) for label in range(classes)]


def mean_ap(results: Sequence[VocClass]) -> float:
    """The mean over the classes that have objects; NaN if none has."""
    known = [result.ap for result in results if result.objects]
    return float(np.mean(known)) if known else float("nan")


def _class_ap(
    detections: Sequence[Floats], truths: Sequence[VocTruth], label: int, points: Points, iou: float
) -> VocClass:
    scores, matches, objects, offset = [], [], 0, 0
    for found, truth in zip(detections, truths, strict=True):
        mine = truth.classes == label
        found = found[found[:, 5] == label]
        objects += int((mine & ~truth.difficult).sum())
        scores.append(found[:, 4])
        matches.append(_match(found[:, :4], truth.boxes[mine], truth.difficult[mine], offset, iou))
        offset += int(mine.sum())
    none = np.zeros(0)
    ranked = np.concatenate([none, *scores]), np.concatenate([none.astype(int), *matches])
    return _curve(*ranked, objects, points)


_MISS, _DIFFICULT = -1, -2


def _match(boxes: Floats, truths: Floats, difficult: Bools, offset: int, iou: float) -> NDArray[np.int64]:
    """(n,) which object each detection belongs to (counted from `offset`), _MISS or _DIFFICULT."""
    if not len(boxes) or not len(truths):
        return np.full(len(boxes), _MISS)
    overlap = inclusive_iou(boxes, truths)
    best = overlap.argmax(1)
    matched = np.where(difficult[best], _DIFFICULT, best + offset)
    return np.where(overlap.max(1) >= iou, matched, _MISS)


def inclusive_iou(a: Floats, b: Floats) -> Floats:
    """(n, m) IoU of boxes (n, 4) and (m, 4) whose both ends are inclusive pixels, hence the + 1."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.maximum(high - low + 1, 0).prod(-1)
    size_a, size_b = (np.maximum(box[:, 2:] - box[:, :2] + 1, 0).prod(-1) for box in (a, b))
    union = size_a[:, None] + size_b[None, :] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def _curve(scores: Floats, matches: NDArray[np.int64], objects: int, points: Points) -> VocClass:
    order = np.argsort(-scores, kind="stable")
    order = order[matches[order] != _DIFFICULT]
    ranked = matches[order]
    hit = np.zeros(len(ranked), dtype=bool)
    numbers, first = np.unique(ranked, return_index=True)
    hit[first[numbers != _MISS]] = True
    hits = hit.cumsum().astype(np.float64)
    precision = hits / np.arange(1, len(hit) + 1)
    recall = hits / objects if objects else np.full(len(hit), np.nan)
    ap = average_precision(recall, precision, points) if objects else float("nan")
    return VocClass(ap, objects, recall, precision, scores[order])


def average_precision(recall: Floats, precision: Floats, points: Points) -> float:
    """AP from a curve by falling score (VOCap.m)."""
    if points == "11":
        return float(np.mean([precision[recall >= i / 10].max(initial=0.0) for i in range(11)]))
    recall = np.concatenate(([0.0], recall, [1.0]))
    envelope = np.maximum.accumulate(np.concatenate(([0.0], precision, [0.0]))[::-1])[::-1]
    return float((np.diff(recall) * envelope[1:]).sum())
