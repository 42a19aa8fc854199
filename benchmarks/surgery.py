"""The whole of `prune_channel.py --percent 0.8` on the full yolov3, checks and files included, in seconds and MB.

Reference: bare numpy slicing of all kernels to half of their outputs and inputs, and nothing else,
repeated in this process. Weights are random (γ uniform in [0, 2)). Run: python benchmarks/surgery.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.places import require  # noqa: E402
from prune.darknet.netdef import read_netdef  # noqa: E402
from prune.darknet.records import Weights  # noqa: E402
from prune.darknet.weights import random_weights, write_weights  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--cfg", type=Path, default=ROOT / "cfg" / "yolov3.cfg", help="the network")
    parser.add_argument("--percent", type=float, default=0.8, help="the fraction to cut (default: 0.8)")
    parser.add_argument("--runs", type=int, default=3, help="number of runs (default: 3)")
    args = parser.parse_args()
    require(args.cfg)
    with TemporaryDirectory() as folder:
        netdef = read_netdef(args.cfg)
        weights = random_weights(netdef, np.random.default_rng(0))
        path = Path(folder) / "random.weights"
        write_weights(path, weights, netdef)
        reference = statistics.median(sliced_seconds(weights) for _ in range(args.runs))
        del weights
        runs = [pruned(args.cfg, path, args.percent, Path(folder) / f"out{i}") for i in range(args.runs)]
    show(args.cfg.stem, args.percent, reference, runs)


def sliced_seconds(weights: Weights) -> float:
    """Seconds for slicing every kernel (O, I, K, K) to (O/2, I/2, K, K), copies included."""
    start = time.perf_counter()
    halves = []
    for record in map(weights.conv, weights.records):
        outputs, inputs = (np.arange(0, length, 2) for length in record.weight.shape[:2])
        halves.append(record.weight[np.ix_(outputs, inputs)])
    return time.perf_counter() - start


def pruned(cfg: Path, weights: Path, percent: float, out: Path) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of the whole process."""
    flags: list[str | Path] = ["--cfg", cfg, "--weights", weights, "--percent", str(percent), "--out", out, "--quiet"]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, ROOT / "prune_channel.py", *flags], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"prune_channel.py failed with exit code {process.returncode}")
    kilobytes = usage.ru_maxrss / 1024 if sys.platform == "darwin" else usage.ru_maxrss
    return seconds, kilobytes / 1024


def show(name: str, percent: float, reference: float, runs: list[tuple[float, float]]) -> None:
    """One row each: the runs' median and range, and the ratio to the reference."""
    seconds, megabytes = [run[0] for run in runs], [run[1] for run in runs]
    middle = statistics.median(seconds)
    print(f"{'what':<44}{'seconds':>10}{'range':>16}{'peak MB':>10}{'ratio':>9}")
    print(f"{'reference: numpy slices all kernels to half':<44}{reference:>10.3f}{'':>16}{'':>10}{1:>8}×")
    spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
    what = f"prune_channel.py {name} --percent {percent:g}"
    print(f"{what:<44}{middle:>10.2f}{spread:>16}{max(megabytes):>10.0f}{middle / reference:>8.0f}×")


if __name__ == "__main__":
    main()
