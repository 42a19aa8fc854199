"""Precision over recall, from detections matched to objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.metrics.matching import IGNORED, UNMATCHED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class MatchedDetections:
    """The detections of one image: scores (n,), classes (n,), and matches (n,): the index of the object that each
    found, UNMATCHED or IGNORED (see `matching`)."""

    scores: Floats
    classes: Floats
    matches: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What was measured for one class: AP (NaN where it has no object that counts), how many such objects there are,
    and after each detection that counts, by falling score: recall, precision, its score, and whether it is a true
    positive, `tp` (n,)."""

    ap: float
    objects: int
    recall: Floats
    precision: Floats
    scores: Floats
    tp: Bools


def class_curves(
    matched: Sequence[MatchedDetections], objects: Sequence[int], average: Callable[[Floats, Floats], float]
) -> list[Curve]:
    """The curve of each class. `objects[c]`: how many of class c count; `average`: AP from recall and precision."""
    empty = np.zeros(0)
    scores = np.concatenate([empty, *(image.scores for image in matched)])
    classes = np.concatenate([empty, *(image.classes for image in matched)])
    matches = np.concatenate([empty, *(image.matches for image in matched)])
    order = np.argsort(-scores, kind="stable")
    order = order[matches[order] != IGNORED]
    scores, classes, tp = scores[order], classes[order], matches[order] != UNMATCHED
    mine = [classes == label for label in range(len(objects))]
    return [_curve(scores[m], tp[m], count, average) for m, count in zip(mine, objects, strict=True)]


def _curve(scores: Floats, tp: Bools, objects: int, average: Callable[[Floats, Floats], float]) -> Curve:
    found = tp.cumsum().astype(np.float64)
    precision = found / np.arange(1, len(tp) + 1)
    recall = found / objects if objects else np.full(len(tp), np.nan)
    return Curve(average(recall, precision) if objects else float("nan"), objects, recall, precision, scores, tp)


def average_precision(recall: Floats, precision: Floats, points: int = 0) -> float:
    """AP from a curve by falling score: the area under it (0 points; VOCap.m), or the mean of the best precision at
    recalls of 0, 1/(points − 1) … 1 and higher."""
    if points:
        grid = (number / (points - 1) for number in range(points))
        return float(np.mean([precision[recall >= least].max(initial=0.0) for least in grid]))
    recall = np.concatenate(([0.0], recall, [1.0]))
    envelope = np.maximum.accumulate(np.concatenate(([0.0], precision, [0.0]))[::-1])[::-1]
    return float((np.diff(recall) * envelope[1:]).sum())


def count_objects(classes: Sequence[Ints], ignored: Sequence[Bools], known: int) -> list[int]:
    """How many objects of each of `known` classes count, from the objects of each image."""
    total = np.zeros(known, np.int64)
    for labels, hidden in zip(classes, ignored, strict=True):
        total += np.bincount(labels[~hidden], minlength=known)
    return [int(count) for count in total]
