"""Time and memory of the core on a large network: parse + graph + plan, then surgery.

Weights are random (γ uniform in [0, 2)), channels are removed by `--rule share`, the slower one. Every run is a new
process that reads its files; its peak memory is the kernel's number (VmHWM; ru_maxrss would include that of the parent
process), less what it used after its imports. Seconds are wall time / CPU time: they differ where the machine has other
work.
Run: python -m benchmarks.core_speed (default: yolov4x-mish of the shared data, 100 M parameters)
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from benchmarks.places import ROOT, SHARED, require
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import random_weights, read_weights, write_weights
from prune.graph.channels import trace_groups
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.surgery.apply import apply

STAGES = ("parse", "graph", "read", "plan", "surgery")
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("cfg", type=Path, nargs="?", default=SHARED / "cfg-zoo" / "yolov4x-mish.cfg")
    parser.add_argument("--weights", type=Path, help="use this file (default: random weights)")
    parser.add_argument("--percent", type=float, default=0.6, help="the fraction of channels to cut (default: 0.6)")
    parser.add_argument("--runs", type=int, default=3, help="number of runs (default: 3)")
    parser.add_argument("--profile", action="store_true", help="profile one run in this process")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measured(args.cfg, args.weights, args.percent)))
        return
    require(args.cfg, *([args.weights] if args.weights else []))
    with TemporaryDirectory() as folder:
        weights: Path = args.weights or Path(folder) / "random.weights"
        if args.weights is None:
            netdef = read_netdef(args.cfg)
            write_weights(weights, random_weights(netdef, np.random.default_rng(0)), netdef)
        if args.profile:
            profile(args.cfg, weights, args.percent)
        else:
            show(
                args.cfg.stem,
                weights.stat().st_size,
                [in_child(args.cfg, weights, args.percent) for _ in range(args.runs)],
            )


def measured(cfg: Path, weights: Path, percent: float) -> dict[str, float]:
    """Seconds of each stage, and MB: `base` after the imports, `peak` at the end, `mid` before the surgery."""
    base, seconds = peak_megabytes(), dict[str, float]()

    def timed(stage: str, run: Callable[[], T]) -> T:
        start, cpu = time.perf_counter(), time.process_time()
        result = run()
        seconds[stage], seconds[f"{stage} cpu"] = time.perf_counter() - start, time.process_time() - cpu
        return result

    netdef = timed("parse", lambda: read_netdef(cfg))
    graph = timed("graph", lambda: trace_groups(netdef))
    read = timed("read", lambda: read_weights(weights, netdef))
    policy = ChannelPolicy(percent=percent, rule="share")
    plan = timed("plan", lambda: plan_channels(graph, read, policy))
    middle = peak_megabytes()
    pruned = timed("surgery", lambda: apply(netdef, read, plan))
    facts = {"base": base, "mid": middle, "peak": peak_megabytes(), "kept": pruned.weights.floats / read.floats}
    return seconds | facts


def in_child(cfg: Path, weights: Path, percent: float) -> dict[str, float]:
    """`measured` in a new process."""
    command = [sys.executable, "-m", "benchmarks.core_speed", str(cfg), "--weights", str(weights)]
    command += ["--percent", str(percent), "--child"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    facts: dict[str, float] = json.loads(done.stdout)
    return facts


def peak_megabytes() -> float:
    """The peak memory of this process, in MB (1e6 bytes)."""
    status = Path("/proc/self/status").read_text()
    kilobytes = re.search(r"VmHWM:\s*(\d+) kB", status)
    if kilobytes is None:
        raise SystemExit("core_speed: this system does not report the peak memory of a process")
    return int(kilobytes[1]) * 1024 / 1e6


def profile(cfg: Path, weights: Path, percent: float) -> None:
    """Print the functions that take most of the time."""
    profiler = cProfile.Profile()
    profiler.runcall(measured, cfg, weights, percent)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def show(name: str, size: int, runs: list[dict[str, float]]) -> None:
    """Medians and ranges, against the targets."""
    megabytes = size / 1e6
    print(f"{name}: weights file {megabytes:.1f} MB, {1 - runs[0]['kept']:.0%} of the floats cut, {len(runs)} runs")
    for stage in STAGES:
        print(_seconds(stage, runs, (stage,)))
    print(_seconds("parse + graph + plan", runs, ("parse", "graph", "plan"), "< 0.5 s"))
    print(_seconds("surgery (source check included)", runs, ("surgery",), "< 3 s"))
    print(_line("memory after the imports", [run["base"] for run in runs], "MB"))
    peaks = [run["peak"] - run["base"] for run in runs]
    print(_line("peak beyond that", peaks, "MB", f"< 3 × the file = {3 * megabytes:.0f} MB"))
    print(_line("before the surgery", [run["mid"] - run["base"] for run in runs], "MB"))
    print(_line("peak beyond that / weights file", [peak / megabytes for peak in peaks], "×", "< 3"))
    print(_line("peak of the whole process / file", [run["peak"] / megabytes for run in runs], "×"))


def _seconds(what: str, runs: list[dict[str, float]], stages: tuple[str, ...], target: str = "") -> str:
    wall = [sum(run[stage] for stage in stages) for run in runs]
    cpu = statistics.median(sum(run[f"{stage} cpu"] for stage in stages) for run in runs)
    return _line(what, wall, f"s / {cpu:.2f} s CPU", target)


def _line(what: str, values: list[float], unit: str, target: str = "") -> str:
    spread = f"{min(values):.2f}-{max(values):.2f}"
    return f"  {what:<34}{statistics.median(values):>9.2f} {unit:<16}{spread:>18}   {target}".rstrip()


if __name__ == "__main__":
    main()
