"""What explains a metric: curves, the best confidence, the confusion matrix and the worst images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.metrics.coco import SIZES
from prune.metrics.confusion import Confusion, confusion_matrix
from prune.metrics.curve import Curve, MatchedDetections, class_curves, count_objects
from prune.metrics.detections import Detected
from prune.metrics.matching import coco_overlap, inclusive_iou, match_coco, match_darknet, match_voc, same_class
from prune.metrics.operating_point import ClassCurve, OperatingPoint, best_over_all, class_curve
from prune.metrics.result import Metrics
from prune.metrics.worst_images import WorstImage, worst_images
from prune.samples.boxes import pairwise_iou
from prune.samples.sample import SampleSet

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
FALLBACK_CONFIDENCE = 0.25
"""Used where nothing was found, so that no confidence is best."""


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """`protocol`: how it was measured, in one line. `curves`: of every class, in order. `overall`: the best operating
    point with one confidence for all classes; None where nothing was found. `sizes`: recall there of small, medium and
    large objects. The confusion matrix and the worst images are those at that confidence."""

    protocol: str
    curves: tuple[ClassCurve, ...]
    overall: OperatingPoint | None
    sizes: dict[str, float]
    confusion: Confusion
    worst: tuple[WorstImage, ...]


def findings(detected: Sequence[Detected], samples: SampleSet, metrics: Metrics) -> Findings:
    """Analyse the detections that `metrics` was computed from, by the matching rule of its protocol at IoU 0.5
    (Darknet's protocol: at its own threshold)."""
    iou = metrics.iou
    matches = [match_objects(image, metrics.protocol, iou) for image in detected]
    ignored = [_ignored(image, metrics.protocol) for image in detected]
    curves = _curves(detected, matches, ignored, len(samples.names))
    named = zip(samples.names, curves, strict=True)
    overall = best_over_all(curves)
    conf = overall.threshold if overall else FALLBACK_CONFIDENCE
    return Findings(
        metrics.title,
        tuple(class_curve(name, curve, metrics.per_class.get(name)) for name, curve in named),
        overall,
        _recall_by_size(detected, matches, ignored, conf),
        confusion_matrix(detected, samples.names, conf, iou),
        tuple(worst_images(detected, matches, ignored, conf)),
    )


def best_rows(found: Findings) -> list[tuple[str, float]]:
    """The best operating point over all classes: (name, value)."""
    names = ("threshold", "precision", "recall", "f1")
    return [(f"best {name}", getattr(found.overall, name)) for name in names] if found.overall else []


def match_objects(image: Detected, protocol: str, iou: float) -> Ints:
    """(n,) which object each detection of an image found, by the rule of a protocol (see `matching`)."""
    found, sample = image.found, image.sample
    if protocol == "coco":
        overlap = coco_overlap(found, image.boxes, sample.crowd)
        return match_coco(same_class(overlap, found[:, 5], sample.classes), found[:, 4], sample.crowd, iou)
    if protocol == "darknet":
        overlap = same_class(pairwise_iou(found[:, :4], image.boxes), found[:, 5], sample.classes)
        return match_darknet(overlap, found[:, 4], image.ignored, iou)
    truth = image.voc_truth()
    overlap = same_class(inclusive_iou(image.voc_found()[:, :4], truth.boxes), found[:, 5], truth.classes)
    return match_voc(overlap, found[:, 4], truth.difficult, iou)


def _ignored(image: Detected, protocol: str) -> Bools:
    return image.sample.crowd if protocol == "coco" else image.ignored


def _curves(
    detected: Sequence[Detected], matches: Sequence[Ints], ignored: Sequence[Bools], classes: int
) -> list[Curve]:
    matched = [MatchedDetections(d.found[:, 4], d.found[:, 5], m) for d, m in zip(detected, matches, strict=True)]
    objects = count_objects([image.sample.classes for image in detected], ignored, classes)
    return class_curves(matched, objects, lambda _recall, _precision: float("nan"))


def _recall_by_size(
    detected: Sequence[Detected], matches: Sequence[Ints], ignored: Sequence[Bools], conf: float
) -> dict[str, float]:
    """Of the sizes of which there are objects."""
    areas = np.concatenate([image.areas[~hidden] for image, hidden in zip(detected, ignored, strict=True)])
    found = np.concatenate([_found(*image, conf) for image in zip(detected, matches, ignored, strict=True)])
    within = {name: (areas >= low) & (areas <= high) for name, (low, high) in SIZES.items()}
    return {name: float(found[mask].mean()) for name, mask in within.items() if mask.any()}


def _found(image: Detected, matches: Ints, hidden: Bools, conf: float) -> Bools:
    """(m,) which objects that count were found at a confidence."""
    found = np.zeros(len(hidden), np.bool_)
    found[matches[(matches >= 0) & (image.found[:, 4] >= conf)]] = True
    return found[~hidden]
