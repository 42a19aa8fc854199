"""COCO metrics of Darknet itself beside ours: `python -m benchmarks.darknet_valid [SHARED]`.

Needs Debian's `darknet` (apt install darknet; pjreddie's, of 2018) and the shared data (default: PRUNE_SHARED_DATA or
shared/data beside the checkout). `darknet detector valid` runs the official yolov3-tiny over coco-mini's valid images:
letterboxed, scores above 0.005, NMS 0.45. Its results and ours, made with `--resize align-corners`, are scored in the
same way. Exits with 3 if a number differs by more than 0.0005 (its batch norm has another epsilon).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.coco_opencv import TWELVE
from benchmarks.places import SHARED, require
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from prune.detect.evaluate import evaluate
from prune.detect.settings import EvaluateSettings
from prune.metrics.coco_results import read_results
from prune.metrics.measure import measure
from prune.metrics.result import ResultsFile
from prune.model.build import DarknetModel
from prune.model.state import load_weights
from prune.report.tables import format_table
from prune.samples.coco_json import read_coco
from prune.samples.sample import SampleSet

CLOSE = 5e-4


def by_darknet(cfg: Path, weights: Path, samples: SampleSet, folder: Path) -> list[float]:
    """The metrics of `darknet detector valid`."""
    names = "".join(f"{name}\n" for name in samples.names)
    (folder / "coco.names").write_text(names)
    (folder / "valid.txt").write_text("".join(f"{sample.image}\n" for sample in samples.samples))
    lines = {"classes": len(samples.names), "valid": folder / "valid.txt", "names": folder / "coco.names"}
    lines |= {"results": folder, "eval": "coco"}
    (folder / "coco.data").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    command = ["darknet", "detector", "valid", str(folder / "coco.data"), str(cfg), str(weights)]
    subprocess.run(command, check=True, capture_output=True)
    path = folder / "coco_results.json"
    detected, _ = read_results(path, samples)
    metrics = measure(detected, samples, EvaluateSettings(), ResultsFile(path, sum(len(d.found) for d in detected)))
    return [metrics.numbers[name] for name in TWELVE]


def by_us(cfg: Path, weights: Path, samples: SampleSet) -> list[float]:
    """The same evaluation by this project."""
    netdef = read_netdef(cfg)
    load_weights(model := DarknetModel(netdef), read_weights(weights, netdef))
    settings = EvaluateSettings(letterbox=True, resize="align-corners", conf_thres=0.005, nms_thres=0.45)
    metrics = evaluate(model, samples, settings)
    return [metrics.numbers[name] for name in TWELVE]


def main(shared: Path) -> int:
    cfg, weights = shared / "weights/yolov3-tiny-123.cfg", shared / "weights/yolov3-tiny.weights"
    coco, listed = shared / "coco-mini", shared / "weights/coco.names"
    require(cfg, weights, coco, listed)
    if shutil.which("darknet") is None:
        print("darknet is not installed: apt install darknet", file=sys.stderr)
        return 2
    names = tuple(listed.read_text().split("\n")[:80])
    samples = read_coco(coco / "annotations/instances_val2017.json", names, coco / "val2017")
    with tempfile.TemporaryDirectory() as folder:
        theirs = by_darknet(cfg, weights, samples, Path(folder))
    ours = by_us(cfg, weights, samples)
    off = [a - b for a, b in zip(ours, theirs, strict=True)]
    rows: list[list[object]] = [["ours", *ours], ["Darknet", *theirs], ["off", *(f"{o:+.4f}" for o in off)]]
    print(format_table(["yolov3-tiny", *TWELVE], rows))
    return 0 if max(map(abs, off)) <= CLOSE else 3


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else SHARED.resolve()))
