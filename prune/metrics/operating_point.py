"""The confidence to use a network at: precision, recall and F1 where F1 is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from prune.metrics.curve import Curve

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Operating:
    """What comes of reporting detections with a score of at least `threshold`: so many hits, false alarms (`false`)
    and missed objects."""

    threshold: float
    hits: int
    false: int
    missed: int

    @property
    def precision(self) -> float:
        """Hits of all detections."""
        return self.hits / max(self.hits + self.false, 1)

    @property
    def recall(self) -> float:
        """Hits of all objects."""
        return self.hits / max(self.hits + self.missed, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.hits / max(2 * self.hits + self.false + self.missed, 1)

    def summary(self) -> dict[str, float]:
        """Everything by name."""
        return asdict(self) | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, slots=True, eq=False)
class ClassCurve:
    """One class by name: `ap` by the protocol (None where no object counts), and at IoU 0.5 (Darknet's protocol: its
    threshold) the best point to operate at (None where nothing is hit) and the curve: recall, precision and score (n,)
    after each detection, by falling score."""

    name: str
    objects: int
    ap: float | None
    best: Operating | None
    recall: Floats
    precision: Floats
    scores: Floats


def class_curve(name: str, curve: Curve, ap: float | None) -> ClassCurve:
    """A class's curve with its best operating point."""
    best = best_operating(curve.scores, curve.hits, curve.objects)
    return ClassCurve(name, curve.objects, ap, best, curve.recall, curve.precision, curve.scores)


def best_over_all(curves: Sequence[Curve]) -> Operating | None:
    """The best operating point with one threshold for all classes that have objects or not: every detection counts."""
    scores = np.concatenate([np.zeros(0), *(curve.scores for curve in curves)])
    hits = np.concatenate([np.zeros(0, np.bool_), *(curve.hits for curve in curves)])
    order = np.argsort(-scores, kind="stable")
    return best_operating(scores[order], hits[order], sum(curve.objects for curve in curves))


def best_operating(scores: Floats, hits: Bools, objects: int) -> Operating | None:
    """The point of highest F1, of equal ones that with the highest threshold; None where nothing is hit.

    scores, hits (n,): of each detection, by falling score.
    """
    if not objects or not hits.any():
        return None
    found, count = hits.cumsum(), np.arange(1, len(hits) + 1)
    # Detections of one score stand or fall together.
    last = np.append(scores[1:] != scores[:-1], True)
    at = int(np.where(last, 2 * found / (count + objects), -1.0).argmax())
    return Operating(float(scores[at]), int(found[at]), int(count[at] - found[at]), int(objects - found[at]))
