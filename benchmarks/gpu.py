"""This project on a CUDA machine, in figures: `bash benchmarks/gpu.sh --help`.

Each part prints its figures and is added to OUT/gpu.json at once, so that an interrupted run leaves what was measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu_budget import FAILED, SKIPPED, Budget, Result, flawed
from benchmarks.gpu_setting import Setting, machine, make_setting, stand_in_for_tqdm
from benchmarks.places import require

Part = Callable[[Setting, Budget], Result]
SECONDS = 440.0


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the benchmark and the fraction of the whole budget it may take at most."""

    name: str
    part: Part
    most: float


def main() -> int:
    args = _parser().parse_args()
    split = args.data / "ImageSets" / "Main" / "train.txt"
    require(split, *([args.weights] if args.weights else []), fix="BCCD is the dataset's folder in VOC layout")
    stand_in_for_tqdm()
    setting = make_setting(args.data, args.out, args.weights, args.small)
    budget = Budget(args.seconds)
    report: Result = {"machine": machine(setting.device), "small": args.small}
    print(json.dumps(report["machine"]))
    for share in _shares():
        print(f"== {share.name} ({budget.left:.0f} s left)")
        report[share.name] = budget.attempt(share.most * args.seconds, lambda share=share: share.part(setting, budget))  # type: ignore[misc]
        _show(report[share.name])
        (args.out / "gpu.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return _conclude({share.name: report[share.name] for share in _shares()})


def _shares() -> list[Share]:
    """The parts, most important first. (Imported late: they need torch, and tqdm or its stand-in.)"""
    from benchmarks.gpu_parity import parity
    from benchmarks.gpu_speed import speed
    from benchmarks.gpu_training import precision, stages, waiting

    return [
        Share("parity", parity, 0.15),
        Share("precision", precision, 0.2),
        Share("speed", speed, 0.5),
        Share("waiting", waiting, 0.12),
        Share("stages", stages, 1.0),
    ]


def _show(found: Result) -> None:
    """The closing line of a part; its rows are printed as they are measured."""
    if shown := [f"{key}: {value}" for key, value in found.items() if not isinstance(value, list)]:
        print("   " + ", ".join(shown))


def _conclude(parts: Mapping[str, Result]) -> int:
    """Print which parts failed or are incomplete; the exit code."""
    wrong = [name for name, found in parts.items() if flawed(found, FAILED) or found.get("ok") is False]
    late = [name for name, found in parts.items() if flawed(found, SKIPPED)]
    print(f"failed: {', '.join(wrong)}" if wrong else "no check failed")
    if late:
        print(f"not complete, for lack of time: {', '.join(late)}")
    return bool(wrong)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__, allow_abbrev=False)
    parser.add_argument("data", type=Path, metavar="BCCD", help="the dataset's folder in VOC layout")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), metavar="DIR", help="default: runs/gpu")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="official weights of yolov3-tiny, to start from")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="X", help="time budget (default: 440)")
    parser.add_argument("--small", action="store_true", help="a small setting, for a CPU")
    return parser


if __name__ == "__main__":
    sys.exit(main())
