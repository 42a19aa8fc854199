"""The table of the library's results for each Darknet cfg, in Markdown: every cell is measured when it is made.

Weights are random and well-scaled (γ 0.5 ± 0.2); inputs are two cells of the coarsest map per side, so that it takes
minutes.
Run: python -m benchmarks.zoo --out docs/zoo.md
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path

from benchmarks.places import default_places, find_cfgs, require
from benchmarks.zoo_row import Row
from benchmarks.zoo_table import format_table
from prune.files.writing import atomic_write


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "places", type=Path, nargs="*", metavar="CFG-OR-FOLDER", help="default: cfg/ and the shared zoo"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="the file of the table (default: standard output)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the rows as JSON as well")
    args = parser.parse_args()
    require(*args.places)
    cfgs = list(find_cfgs(args.places or default_places()))
    if not cfgs:
        parser.error("no *.cfg: not found")
    rows = list[Row]()
    for number, row in enumerate(check_all(cfgs), start=1):
        rows.append(row)
        state = "green" if row.green else row.faults[0]
        print(f"[{number}/{len(cfgs)}] {row.name}: {row.seconds:.1f} s of CPU, {state}", file=sys.stderr, flush=True)
    text = format_table(rows, _command(args.places, args.out))
    if args.out is None:
        print(text, end="")
    else:
        atomic_write(args.out, text)
    if args.json is not None:
        atomic_write(args.json, json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0 if all(row.green for row in rows) else 1


def check_all(cfgs: Sequence[tuple[Path, str]]) -> Iterator[Row]:
    """One row for each cfg, each from a separate process: if that is killed, only its row is lost."""
    for file, name in cfgs:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn, initializer=_quiet) as pool:
            try:
                yield pool.submit(_check, file, name).result()
            except BrokenProcessPool:
                yield Row(name, fault=f"{name}: its process died")


def _check(file: Path, name: str) -> Row:
    from benchmarks.zoo_checks import check_cfg  # torch and OpenCV, in the child only

    return check_cfg(file, name)


def _quiet() -> None:
    import cv2
    import torch

    logging.disable(logging.WARNING)
    cv2.setNumThreads(1)  # maps this small gain nothing from more threads, and lose much beside other work
    torch.set_num_threads(1)


def _command(places: Sequence[Path], out: Path | None) -> str:
    """The command line, without the parent folders of its arguments."""
    shown = [place.name for place in places]
    if out is not None:
        shown += ["--out", out.name if out.is_absolute() else out.as_posix()]
    return " ".join(["python -m benchmarks.zoo", *shown])


if __name__ == "__main__":
    sys.exit(main())
