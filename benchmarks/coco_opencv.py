"""All twelve COCO metrics beside those of OpenCV and pycocotools: `python -m benchmarks.coco_opencv OUT SHARED`.

OUT is the folder that `benchmarks/coco_mini.sh` filled, SHARED the folder of the shared data. Images are read, fitted,
run and suppressed by OpenCV and scored by pycocotools, without `prune.detect`. Exits with 3 if a number differs by more
than allowed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tqdm import tqdm

from benchmarks.coco_mini import NAMES, RUN_FIRST, tolerance
from benchmarks.opencv_parity import opencv_network
from benchmarks.places import require
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from prune.report.tables import format_table

Floats = NDArray[np.float32]
TWELVE = (*NAMES, "ar_small", "ar_medium", "ar_large")
CONF, NMS = 0.001, 0.6
REPOSITORY = Path(__file__).resolve().parent.parent


def fitted(image: NDArray[np.uint8], size: tuple[int, int], letterbox: bool) -> tuple[Floats, Floats, Floats]:
    """The input (H, W, 3) in [0, 1], and size and offset (2,) of the image in it, in its pixels."""
    height, width = image.shape[:2]
    inner = size
    if letterbox:
        inner = (
            (size[0], height * size[0] // width)
            if size[0] * height < size[1] * width
            else (width * size[1] // height, size[1])
        )
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = np.full((size[1], size[0], 3), 0.5, np.float32)
    resized = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), inner, interpolation=cv2.INTER_LINEAR)
    canvas[top : top + inner[1], left : left + inner[0]] = resized.astype(np.float32) / 255
    return canvas, np.array(inner, np.float32), np.array((left, top), np.float32)


def detected(
    net: Any, image: NDArray[np.uint8], size: tuple[int, int], letterbox: bool
) -> Iterator[tuple[list[float], float, int]]:
    """Box (x, y, width, height in pixels of the image), score and class of each detection."""
    canvas, inner, offset = fitted(image, size, letterbox)
    net.setInput(np.ascontiguousarray(canvas.transpose(2, 0, 1)[None]))
    rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    whole = np.array(image.shape[1::-1], np.float32)
    centre, extent = (rows[:, :2] * size - offset) / inner * whole, rows[:, 2:4] * size / inner * whole
    edges = np.concatenate((centre - extent / 2, centre + extent / 2), axis=1).astype(float)
    boxes = np.concatenate((edges[:, :2], edges[:, 2:] - edges[:, :2]), axis=1)
    inside = np.clip(edges, 0, np.tile(whole, 2))
    inside[:, 2:] -= inside[:, :2]
    for label in range(rows.shape[1] - 5):
        scores = rows[:, 5 + label]
        some = np.flatnonzero(scores > CONF)
        kept = cv2.dnn.NMSBoxes(boxes[some].tolist(), scores[some].tolist(), CONF, NMS) if len(some) else ()
        yield from ((inside[some[k]].tolist(), float(scores[some[k]]), label) for k in kept)


def twelve(annotations: COCO, results: list[dict[str, Any]]) -> list[float]:
    """COCO's metrics, in the order of `TWELVE`."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(annotations, annotations.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def by_opencv(cfg: Path, weights: Path, shared: Path, letterbox: bool) -> list[float]:
    """The metrics of a pair of files on coco-mini's valid images."""
    netdef = read_netdef(cfg)
    size = (netdef.net.width, netdef.net.height)
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO(str(shared / "coco-mini/annotations/instances_val2017.json"))
    categories = sorted(annotations.getCatIds())
    results = []
    with tempfile.TemporaryDirectory() as folder:
        net = opencv_network(netdef, read_weights(weights, netdef), Path(folder))
        for record in tqdm(annotations.loadImgs(annotations.getImgIds()), cfg.stem, leave=False, disable=None):
            image = cv2.imread(str(shared / "coco-mini/val2017" / record["file_name"]))
            for box, score, label in detected(net, np.asarray(image, np.uint8), size, letterbox):
                entry = {"image_id": record["id"], "category_id": categories[label], "bbox": box, "score": score}
                results.append(entry)
    return twelve(annotations, results)


def main(out: Path, shared: Path) -> int:
    networks = {
        "yolov3-tiny": REPOSITORY / "cfg/yolov3-tiny.cfg",
        "yolo-fastest-1.1": shared / "weights/yolo-fastest-1.1.cfg",
    }
    runs = [out / f"{network}-{fit}" / "summary.json" for network in networks for fit in ("letterbox", "stretch")]
    weights = [shared / f"weights/{network}.weights" for network in networks]
    require(shared / "coco-mini", *networks.values(), *weights)
    require(*runs, fix=RUN_FIRST)
    rows: list[list[object]] = []
    worst = 0.0
    for network, cfg in networks.items():
        for fit in ("letterbox", "stretch"):
            summary = json.loads((out / f"{network}-{fit}" / "summary.json").read_text())
            ours = [summary[name] for name in TWELVE]
            theirs = by_opencv(cfg, shared / f"weights/{network}.weights", shared, fit == "letterbox")
            off = [a - b for a, b in zip(ours, theirs, strict=True)]
            rows += [[f"{network}-{fit}", *ours], ["  OpenCV", *theirs], ["  off", *(f"{o:+.4f}" for o in off)]]
            worst = max(worst, *(abs(o) / tolerance(name) for o, name in zip(off, TWELVE, strict=True)))
    print(format_table(["", *TWELVE], rows))
    print(f"largest difference: {worst:.0%} of what is allowed (AP 0.003, sizes and recall 0.006)")
    return 0 if worst <= 1 else 3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder that benchmarks/coco_mini.sh filled")
    parser.add_argument("shared", type=Path, metavar="SHARED", help="the folder of the shared data")
    args = parser.parse_args()
    sys.exit(main(args.out, args.shared))
