"""COCO metrics of the official networks, beside the known ones: `python -m benchmarks.coco_mini OUT`.

OUT is the folder that `benchmarks/coco_mini.sh` filled. Exits with 3 if a number differs by more than allowed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.places import require
from prune.report.tables import format_table

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100")
REFERENCE = {
    "yolov3-tiny-letterbox": (0.2297, 0.4605, 0.2179, 0.083, 0.227, 0.368, 0.187, 0.337, 0.361),
    "yolov3-tiny-stretch": (0.2350, 0.4696, 0.2092, 0.092, 0.254, 0.340, 0.212, 0.350, 0.377),
    "yolo-fastest-1.1-letterbox": (0.1415, 0.3144, 0.1062, 0.044, 0.106, 0.277, 0.150, 0.261, 0.300),
    "yolo-fastest-1.1-stretch": (0.1536, 0.3438, 0.1239, 0.032, 0.144, 0.265, 0.160, 0.258, 0.311),
}
"""The same weights run by OpenCV 4.14 (confidence 0.001, NMS 0.6, several classes per box), scored by pycocotools."""

RUN_FIRST = "run bash benchmarks/coco_mini.sh OUT first"


def tolerance(name: str) -> float:
    """The largest allowed difference: OpenCV uses another epsilon in the batch norm, and rounds differently."""
    return 0.003 if name in ("ap", "ap50", "ap75") else 0.006


def main(out: Path) -> int:
    require(*(out / network / "summary.json" for network in REFERENCE), fix=RUN_FIRST)
    rows: list[list[object]] = []
    worst = 0.0
    for network, expected in REFERENCE.items():
        summary = json.loads((out / network / "summary.json").read_text())
        found = [summary[name] for name in NAMES]
        off = [value - known for value, known in zip(found, expected, strict=True)]
        rows += [[network, *found], ["  known", *expected], ["  off", *(f"{value:+.4f}" for value in off)]]
        worst = max(worst, *(abs(o) / tolerance(name) for o, name in zip(off, NAMES, strict=True)))
    print(format_table(["", *NAMES], rows))
    print(f"largest difference: {worst:.0%} of what is allowed (AP 0.003, sizes and recall 0.006)")
    return 0 if worst <= 1 else 3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder that benchmarks/coco_mini.sh filled")
    sys.exit(main(parser.parse_args().out))
