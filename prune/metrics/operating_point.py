"""The confidence to use a network at: precision, recall and F1 where F1 is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.metrics.curve import Curve

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The counts when detections with a score of at least `threshold` are reported: true positives, false positives and
    objects that are not found."""

    threshold: float
    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float:
        """True positives of all detections."""
        return self.tp / max(self.tp + self.fp, 1)

    @property
    def recall(self) -> float:
        """True positives of all objects."""
        return self.tp / max(self.tp + self.fn, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.tp / max(2 * self.tp + self.fp + self.fn, 1)

    def summary(self) -> dict[str, float]:
        """The fields of summary.json, where the counts are called hits, false and missed."""
        counts = {"threshold": self.threshold, "hits": self.tp, "false": self.fp, "missed": self.fn}
        return counts | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, slots=True, eq=False)
class ClassCurve:
    """One class by name: `ap` by the protocol (None where no object counts), and at IoU 0.5 (Darknet's protocol: its
    threshold) the best operating point (None where nothing is found) and the curve: recall, precision and score (n,)
    after each detection, by falling score."""

    name: str
    objects: int
    ap: float | None
    best: OperatingPoint | None
    recall: Floats
    precision: Floats
    scores: Floats


def class_curve(name: str, curve: Curve, ap: float | None) -> ClassCurve:
    """A class's curve with its best operating point."""
    best = best_operating_point(curve.scores, curve.tp, curve.objects)
    return ClassCurve(name, curve.objects, ap, best, curve.recall, curve.precision, curve.scores)


def best_over_all(curves: Sequence[Curve]) -> OperatingPoint | None:
    """The best operating point with one threshold for all classes, also those without objects: every detection
    counts."""
    scores = np.concatenate([np.zeros(0), *(curve.scores for curve in curves)])
    tp = np.concatenate([np.zeros(0, np.bool_), *(curve.tp for curve in curves)])
    order = np.argsort(-scores, kind="stable")
    return best_operating_point(scores[order], tp[order], sum(curve.objects for curve in curves))


def best_operating_point(scores: Floats, tp: Bools, objects: int) -> OperatingPoint | None:
    """The point of highest F1, of equal ones that with the highest threshold; None where nothing is found.

    scores, tp (n,): of each detection, by falling score.
    """
    if not objects or not tp.any():
        return None
    found, count = tp.cumsum(), np.arange(1, len(tp) + 1)
    # Detections of one score are reported together or not at all.
    last = np.append(scores[1:] != scores[:-1], True)
    at = int(np.where(last, 2 * found / (count + objects), -1.0).argmax())
    return OperatingPoint(float(scores[at]), int(found[at]), int(count[at] - found[at]), int(objects - found[at]))
