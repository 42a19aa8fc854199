"""From detections in memory to COCO's twelve numbers: `python -m benchmarks.ap_speed [--images 5000]`.

Random objects and detections, 100 of these per image, of 80 classes. Each way runs in a separate process, which reports
its seconds and its peak memory: pycocotools as its users call it (its list of dicts is made before and not counted),
ours by pycocotools, and ours by hotcoco where it is installed (from arrays, including their conversion).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.places import ROOT
from prune.metrics.coco import CocoTruth, coco_ap
from prune.report.tables import format_table

Floats = NDArray[np.float64]
CLASSES, DETECTIONS, OBJECTS = 80, 100, 7.4
"""COCO val2017 has 7.4 objects per image."""
WAYS = ("alone", "pycocotools", "hotcoco")


def make(images: int, seed: int = 0) -> tuple[list[Floats], list[CocoTruth]]:
    """Detections (100, 6) and objects of each image; about half of the detections lie near an object."""
    rng = np.random.default_rng(seed)
    detections, truths = list[Floats](), list[CocoTruth]()
    for _ in range(images):
        count = int(rng.poisson(OBJECTS))
        boxes, labels = random_boxes(rng, count), rng.integers(0, CLASSES, count)
        sizes = boxes[:, 2:] - boxes[:, :2]
        truths.append(CocoTruth(boxes, labels, rng.random(count) < 0.01, sizes.prod(1) * 0.6))
        found, found_labels = random_boxes(rng, DETECTIONS), rng.integers(0, CLASSES, DETECTIONS)
        if count:
            near = rng.integers(0, count, DETECTIONS // 2)
            found[: len(near)] = boxes[near] + rng.normal(0, 0.05, (len(near), 4)) * np.tile(sizes[near], 2)
            found_labels[: len(near)] = labels[near]
        detections.append(np.column_stack((found, rng.random(DETECTIONS), found_labels)))
    return detections, truths


def random_boxes(rng: np.random.Generator, count: int) -> Floats:
    """(count, 4) xyxy in pixels, of all sizes."""
    corner, size = rng.uniform(0, 400, (count, 2)), np.exp(rng.uniform(2, 5.5, (count, 2)))
    return np.concatenate((corner, corner + size), axis=1)


def plain(detections: list[Floats], truths: list[CocoTruth]) -> tuple[list[Any], list[Any]]:
    """Annotations and results in the format of pycocotools."""
    annotations = [
        {"image_id": n, "category_id": c + 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": a, "iscrowd": int(crowd)}
        for n, t in enumerate(truths, start=1)
        for (x0, y0, x1, y1), c, crowd, a in zip(
            *(v.tolist() for v in (t.boxes, t.classes, t.crowd, t.areas)), strict=True
        )
    ]
    results = [
        {"image_id": n, "category_id": int(c) + 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": s}
        for n, found in enumerate(detections, start=1)
        for x0, y0, x1, y1, s, c in found.tolist()
    ]
    return [row | {"id": number} for number, row in enumerate(annotations, start=1)], results


def alone(images: int, annotations: list[Any], results: list[Any]) -> list[float]:
    """pycocotools alone."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    known = COCO()
    known.dataset = {
        "images": [{"id": n} for n in range(1, images + 1)],
        "categories": [{"id": n, "name": str(n)} for n in range(1, CLASSES + 1)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def measure(way: str, images: int) -> dict[str, Any]:
    """Seconds, peak memory and numbers of one way, in this process."""
    detections, truths = make(images)
    prepared = plain(detections, truths) if way == "alone" else None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, busy = time.perf_counter(), time.process_time()
    if prepared:
        numbers = alone(images, *prepared)
    else:
        numbers = list(coco_ap(detections, truths, CLASSES, way).numbers.values())  # type: ignore[arg-type]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"seconds": seconds, "cpu": busy, "gb": peak / 2**20, "input_gb": before / 2**20, "numbers": numbers}


def in_a_process(way: str, images: int) -> dict[str, Any]:
    """`measure` in a new process."""
    command = [sys.executable, "-m", "benchmarks.ap_speed", "--way", way, "--images", str(images)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=1, help="the fastest of N runs is reported", metavar="N")
    parser.add_argument("--way", choices=WAYS, help="run only this, and print JSON")
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.images)))
        return
    ways = [way for way in WAYS if way != "hotcoco" or find_spec("hotcoco")]
    runs = [{way: in_a_process(way, args.images) for way in ways} for _ in range(args.repeats)]
    found = {way: min((run[way] for run in runs), key=lambda row: float(row["cpu"])) for way in ways}
    base = found["alone"]
    rows = [
        [
            "pycocotools alone" if way == "alone" else f"ours, by {way}",
            row["seconds"],
            f"{row['cpu'] / base['cpu']:.3f}",
            row["gb"],
            row["input_gb"],
            max(abs(a - b) for a, b in zip(row["numbers"], base["numbers"], strict=True)),
        ]
        for way, row in found.items()
    ]
    print(f"{args.images} images, {DETECTIONS} detections each, {CLASSES} classes")
    print(format_table(["", "seconds", "of pycocotools (CPU)", "peak GB", "input GB", "largest difference"], rows))


if __name__ == "__main__":
    main()
