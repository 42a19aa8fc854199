"""How fast a sparse training is, against a plain loop around the same module in the same run.

    python -m benchmarks.train_speed --json -

Three parts are timed step by step: loading alone, forward + backward alone, all together. Both loops run in processes
of their own, in turn, and the fastest round counts: the median of its steps. Where the machine has other work, only the
processor time can be compared. The aims: all together 2.5 times as fast
where bf16 is there (`--amp` on a processor that computes in it), 1.6 times in float32; waiting for the loader under 5 %
of a step, the penalty under 1 %, evaluation under 10 % of the epochs.
The photographs are made up (JPEG, 640 × 480, eight objects); `--data` takes others.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import torch

from benchmarks.photographs import make_photographs
from benchmarks.places import ROOT, require
from benchmarks.train_speed_ours import OurLoop
from benchmarks.train_speed_plain import PlainLoop
from prune.cli.groups import parse_size
from prune.commands import machine
from prune.loading.cache_choice import CacheMode
from prune.report.tables import format_table
from prune.train.job import Job
from prune.train.settings import AMPS, SparsitySettings, TrainSettings

PARTS = ("loading alone", "forward + backward alone", "all together")
STRENGTH = 0.001
CHILD_FLAGS = ("cfg", "data", "size", "batch_size", "steps", "amp", "compile", "device", "cache", "workers")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", type=Path, default=ROOT / "cfg" / "yolov3-tiny.cfg", help="the network")
    parser.add_argument("--data", type=Path, help="a .data file with the cfg's classes (default: made-up photographs)")
    parser.add_argument("--images", type=int, default=64, help="photographs to make; a quarter more to evaluate on")
    parser.add_argument("--size", default="416", help="the network's input, N or WxH (default: 416)")
    parser.add_argument("--batch-size", type=int, default=8, help="images per step (default: 8)")
    parser.add_argument("--steps", type=int, default=10, help="steps per part and round (default: 10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each loop is run (default: 3)")
    parser.add_argument("--amp", choices=AMPS, default="off", nargs="?", const="auto", help="as in training")
    parser.add_argument("--compile", action="store_true", help="as in training")
    parser.add_argument("--cache", choices=get_args(CacheMode), default="auto", help="as in training")
    parser.add_argument("--workers", type=int, help="as in training")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON to FILE; -: to standard output")
    parser.add_argument("--child", choices=("ours", "plain"), help=argparse.SUPPRESS)
    return parser


def main() -> None:
    args = make_parser().parse_args()
    if args.child:
        print(json.dumps(child(args)))
        return
    require(args.cfg, *([args.data] if args.data else []))
    with TemporaryDirectory() as folder:
        if args.data is None:
            classes = _classes(args.cfg)
            args.data = make_photographs(Path(folder), args.images, max(1, args.images // 4), classes)
        rounds = [{kind: run_child(args, kind) for kind in ("plain", "ours")} for _ in range(args.rounds)]
    figures = summarize(rounds) | {"machine": about_machine(), "settings": _settings(args)}
    if args.json != "-":
        print(report(figures))
    if args.json:
        text = json.dumps(figures, indent=1) + "\n"
        sys.stdout.write(text) if args.json == "-" else Path(args.json).write_text(text, encoding="utf-8")


def child(args: argparse.Namespace) -> dict[str, Any]:
    """The seconds of one loop, measured in this process."""
    with TemporaryDirectory() as out:
        train = TrainSettings(
            epochs=100, optimizer="adamw", amp=args.amp, compile=args.compile, cache=args.cache, lr=1e-6
        )
        job = Job(
            cfg=args.cfg, data=args.data, out=Path(out), img_size=parse_size(args.size), batch_size=args.batch_size,
            device=args.device, workers=args.workers, quiet=True, train=train,
        )  # fmt: skip
        if args.child == "plain":
            return {"seconds": PlainLoop(job, STRENGTH).measure(args.steps)}
        loop = OurLoop(job, SparsitySettings(s=STRENGTH))
        return {"seconds": loop.measure(args.steps), "facts": loop.facts()}


def run_child(args: argparse.Namespace, kind: str) -> dict[str, Any]:
    """One loop in a new process, so that neither finds the other's memory, threads or caches."""
    flags: list[str] = ["--child", kind]
    for name in CHILD_FLAGS:
        value = getattr(args, name)
        if value is True:
            flags.append(f"--{name}")
        elif value not in (None, False):
            flags += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.train_speed", *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"error: the {kind} loop failed: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summarize(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Seconds per step of both loops, the ratios, and the shares of ours."""
    measured = {kind: [found[kind]["seconds"] for found in rounds] for kind in ("plain", "ours")}
    plain, ours = (_fastest(measured[kind], 0) for kind in ("plain", "ours"))
    plain_cpu, ours_cpu = (_fastest(measured[kind], 1) for kind in ("plain", "ours"))
    facts = rounds[0]["ours"]["facts"]
    step = ours["all together"]
    between = facts["epochs_between_evaluations"] * facts["batches_per_epoch"] * step
    return {
        "plain": plain,
        "ours": ours,
        "ratios": {part: plain[part] / ours[part] for part in PARTS},
        "cpu_ratios": {part: plain_cpu[part] / max(ours_cpu[part], 1e-9) for part in PARTS},
        "shares": {
            "loader": ours["waiting for the loader"] / step,
            "penalty": ours["penalty"] / step,
            "evaluation": ours["evaluation"] / (ours["evaluation"] + between),
        },
        "facts": facts,
    }


def _fastest(rounds: Sequence[Mapping[str, Sequence[Sequence[float]]]], kind: int) -> dict[str, float]:
    """Of each part the median of its steps in the fastest round; kind 0: by the clock, 1: of the processor."""
    return {part: min(statistics.median(s[kind] for s in found[part]) for found in rounds) for part in rounds[0]}


def about_machine() -> dict[str, Any]:
    """The processor, and whether it computes in bf16."""
    cpu = machine.cpu()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    used: dict[str, Any] = {"load": load}
    used |= {"torch": str(torch.__version__), "threads": torch.get_num_threads(), "gpus": machine.gpus()}
    return {name: cpu[name] for name in ("model", "usable_cores", "bf16")} | used


def report(figures: Mapping[str, Any]) -> str:
    """The figures as text."""
    about, facts, settings = figures["machine"], figures["facts"], figures["settings"]
    has = "computes in bf16" if about["bf16"] else "does not compute in bf16"
    lines = [
        f"{about['model']}, {about['usable_cores']} cores, {about['threads']} threads; {has}; torch {about['torch']}",
        f"{settings['cfg']} at {settings['size']}, batch {settings['batch_size']}, {facts['precision']}, "
        f"cache: {facts['cache']}",
        "",
    ]
    rows = [
        [part, *(f"{1e3 * figures[loop][part]:.0f}" for loop in ("plain", "ours"))]
        + [f"{figures[kind][part]:.2f}" for kind in ("ratios", "cpu_ratios")]
        for part in PARTS
    ]
    lines.append(format_table(["ms per step", "plain loop", "ours", "ratio", "of processor time"], rows))
    shares = {name: f"{share:.1%}" for name, share in figures["shares"].items()}
    between = facts["epochs_between_evaluations"]
    lines += [
        "",
        f"of a step: waiting for the loader {shares['loader']}, penalty {shares['penalty']}; of the epochs: evaluation "
        f"{shares['evaluation']} (each {between}; {facts['valid_images']} images)",
    ]
    return "\n".join(lines)


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    names = ("size", "batch_size", "steps", "rounds", "amp", "compile", "device")
    return {"cfg": args.cfg.stem} | {name: getattr(args, name) for name in names}


def _classes(cfg: Path) -> int:
    from prune.darknet.netdef import read_netdef

    return read_netdef(cfg).heads[0].classes


if __name__ == "__main__":
    main()
