"""From detections to metrics, by the requested protocol."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prune.errors import DataError
from prune.metrics.coco import coco_ap
from prune.metrics.coco_results import results_categories, results_entries, write_results
from prune.metrics.curve import Curve
from prune.metrics.darknet import DarknetResult, darknet_map
from prune.metrics.detections import Detected
from prune.metrics.findings import Findings
from prune.metrics.result import Inference, Metrics, ResultsFile
from prune.metrics.settings import ScoreSettings
from prune.metrics.voc import Points, mean_ap, voc_ap
from prune.samples.sample import SampleSet

logger = logging.getLogger(__name__)
_POINTS: dict[str, Points] = {"voc07": "11", "voc10": "area"}


def measure(
    detected: Sequence[Detected], samples: SampleSet, settings: ScoreSettings, origin: Inference | ResultsFile
) -> Metrics:
    """The metrics of the detections in those images of a set that could be read; `origin`: how they were made."""
    settings = settings.for_source(samples.source)
    base = Metrics(
        protocol=str(settings.ap),
        images=len(detected),
        origin=origin,
        iou=settings.iou_thres if settings.ap == "darknet" else 0.5,
        skipped=len(samples) - len(detected),
    )
    protocols: dict[str, Callable[[], Metrics]] = {
        "coco": lambda: _by_coco(base, detected, samples),
        "darknet": lambda: _by_darknet(base, detected, samples, settings),
    }
    return protocols.get(base.protocol, lambda: _by_voc(base, detected, samples))()


def check_objects(samples: SampleSet, metrics: Metrics) -> None:
    """Raise DataError where no class has an object that counts: nothing was measured."""
    if not metrics.per_class:
        place = samples.annotations or samples.samples[0].image
        why = "; ".join(samples.faults.lines())
        fix = f"check its labels ({why})" if why else "check its labels"
        raise DataError(place, None, f"no image of the valid set has an object that counts; {fix}")


def protocol_notes(samples: SampleSet, metrics: Metrics) -> list[str]:
    """Darknet's counts at one score, and how a protocol treats objects or classes that it has no rule for."""
    crowd = sum(int(sample.crowd.sum()) for sample in samples.samples)
    difficult = sum(int(sample.difficult.sum()) for sample in samples.samples)
    empty = [name for name in samples.names if name not in metrics.per_class]
    notes = [_darknet_line(metrics.details["at_thresh"])] if "at_thresh" in metrics.details else []
    if difficult and metrics.protocol == "coco":
        notes.append(f"{difficult} difficult objects count: COCO's protocol does not know them (voc07, voc10 do)")
    if crowd and metrics.protocol != "coco":
        notes.append(f"{crowd} crowd regions count as difficult objects: only COCO's protocol knows crowds")
    if empty:
        effect = "count as AP 0" if metrics.protocol == "darknet" else "are not in the mean"
        more = ", …" if len(empty) > 5 else ""
        notes.append(
            f"{len(empty)} of {len(samples.names)} classes without objects {effect}: {', '.join(empty[:5])}{more}"
        )
    return notes


def _darknet_line(counts: Mapping[str, float]) -> str:
    """What Darknet prints "for conf_thresh"."""
    found = f"TP {counts['tp']}, FP {counts['fp']}, FN {counts['fn']}, average IoU {counts['average_iou']:.4f}"
    shares = ", ".join(f"{name} {counts[name]:.4f}" for name in ("precision", "recall", "f1"))
    return f"above score {counts['thresh']:g}: {found}, {shares}"


def with_findings(metrics: Metrics, found: Findings) -> Metrics:
    """The metrics with the best confidence over all classes and of each, the recall by size, and the confusion
    matrix."""
    details = dict(metrics.details) | {"confusion": found.confusion.summary()}
    if found.overall:
        details |= {"best": found.overall.summary() | {"recall_by_size": dict(found.sizes)}}
    classes = {name: dict(row) for name, row in metrics.classes.items()}
    for curve in found.curves:
        if curve.best:
            classes.setdefault(curve.name, {}).update(curve.best.summary())
    return metrics.with_values(details=details, classes=classes)


def _by_coco(base: Metrics, detected: Sequence[Detected], samples: SampleSet) -> Metrics:
    if samples.source == "coco" and all(isinstance(d.sample.image_id, int) for d in detected):
        # pycocotools takes the images by their ids: of equal scores, the first comes first.
        detected = sorted(detected, key=lambda d: int(d.sample.image_id))
    result = coco_ap([d.found for d in detected], [d.coco_truth() for d in detected], len(samples.names))
    per_class = dict(zip(samples.names, result.classes, strict=True))
    return base.with_values(
        numbers=result.numbers,
        per_class={name: numbers["ap"] for name, numbers in per_class.items() if "ap" in numbers},
        classes={name: _without_ap(numbers) for name, numbers in per_class.items() if "ap" in numbers},
        details={"max_detections_of_a_class": 100, "computed_by": result.backend},
    )


def _without_ap(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if name != "ap"}


def _by_voc(base: Metrics, detected: Sequence[Detected], samples: SampleSet) -> Metrics:
    found, truths = [d.voc_found() for d in detected], [d.voc_truth() for d in detected]
    curves = voc_ap(found, truths, len(samples.names), _POINTS[base.protocol], base.iou)
    mean = mean_ap(curves)
    return _with_curves(base, curves, samples, {} if math.isnan(mean) else {"ap50": mean})


def _by_darknet(base: Metrics, detected: Sequence[Detected], samples: SampleSet, settings: ScoreSettings) -> Metrics:
    found, truths = [d.found for d in detected], [d.darknet_truth() for d in detected]
    result = darknet_map(found, truths, len(samples.names), settings.points, base.iou, settings.thresh)
    details = {"points": settings.points} | _counts(result, settings.thresh)
    measured = _with_curves(base, result.curves, samples, {f"ap{100 * base.iou:g}": result.map})
    return measured.with_values(details=details)


def _counts(result: DarknetResult, thresh: float) -> dict[str, object]:
    """The line "for conf_thresh" that Darknet prints."""
    tp, fp, fn = result.tp, result.fp, result.objects - result.tp
    return {
        "at_thresh": {
            "thresh": thresh,
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "precision": tp / max(tp + fp, 1),
            "recall": tp / max(result.objects, 1),
            "f1": 2 * tp / max(2 * tp + fp + fn, 1),
            "average_iou": result.average_iou,
        }
    }


def _with_curves(base: Metrics, curves: Sequence[Curve], samples: SampleSet, numbers: Mapping[str, float]) -> Metrics:
    known = {name: curve for name, curve in zip(samples.names, curves, strict=True) if curve.objects}
    return base.with_values(
        numbers=numbers if known else {},
        per_class={name: curve.ap for name, curve in known.items()},
        classes={name: {"objects": curve.objects} for name, curve in known.items()},
    )


def write_detections(path: Path, detected: Sequence[Detected], samples: SampleSet) -> None:
    """Write a COCO results file. Categories have the ids of a COCO source, else count from 1."""
    ids = [detection.sample.image_id for detection in detected]
    write_results(path, results_entries([d.found for d in detected], ids, results_categories(samples)))
