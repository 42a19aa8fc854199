"""Damaged cfgs and weights by the thousand: each must give a named error or a valid result, quickly and in little
memory.

Every case runs in a child process whose address space is limited; one that dies or does not answer is replaced and
counted. Case N of a seed is always the same: `--first N --cases 1` repeats it.
Run: python -m benchmarks.fuzz --cases 20000 --seed 0
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import re
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fuzz_exercise import Check, exercise, make_case
from benchmarks.places import default_places, find_cfgs, require
from prune.darknet.netdef import parse_netdef
from prune.errors import PruneError
from prune.files.reading import read_text
from prune.surgery.apply import Pruned

EVERY_SECTION = Path(__file__).with_name("every_section.cfg")
"""Always part of the corpus."""
SLOW = 2.0
"""Seconds of CPU time after which a case counts as hanging."""
_SILENT = 60.0
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Result:
    """One case: seconds of CPU time, its outcome, and for a failure its place."""

    number: int
    seconds: float
    outcome: str
    failure: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("corpus", type=Path, nargs="*", default=default_places(), help="cfgs or folders")
    parser.add_argument("--cases", type=int, default=20_000, help="number of cases (default: 20000)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the cases (default: 0)")
    parser.add_argument("--memory", type=int, default=1024, help="MiB a child may use in addition to its imports")
    parser.add_argument("--show", action="store_true", help="print the cfg text of each failure")
    args = parser.parse_args()
    require(*args.corpus)
    corpus, start = read_corpus(args.corpus), time.perf_counter()
    numbers = range(args.first, args.first + args.cases)
    results = []
    for result in run_cases(corpus, args.seed, numbers, args.memory * _MEBIBYTE):
        results.append(result)
        if len(results) % 1000 == 0:
            print(f"{len(results)} cases", file=sys.stderr, flush=True)
        if result.failure:
            print(f"case {result.number}: {result.outcome} {result.failure}", file=sys.stderr, flush=True)
            if args.show:
                print(make_case(args.seed, result.number, corpus).text, file=sys.stderr)
    show(results, len(corpus), args.seed, time.perf_counter() - start)
    return 1 if any(result.failure for result in results) else 0


def read_corpus(places: Sequence[Path]) -> list[str]:
    """The texts of all cfgs and of their slim copies, so that most networks are small enough to cut."""
    texts = [read_text(file) for file, _ in find_cfgs([EVERY_SECTION, *places])]
    return texts + [slim for text in texts if (slim := slimmed(text)) is not None]


def slimmed(text: str) -> str | None:
    """The same network with a sixteenth of the channels and an input of 64 pixels; None where that does not parse.

    Filters that must not change (those before a head) are kept.
    """
    sections = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    slim = [
        re.sub(r"^(filters|groups)\s*=\s*(\d+)", _sixteenth, section, flags=re.MULTILINE)
        if "batch_normalize" in section
        else section
        for section in sections
    ]
    joined = re.sub(r"^(width|height)\s*=\s*\d+", r"\1=64", "".join(slim), flags=re.MULTILINE)
    try:
        parse_netdef(joined)
    except PruneError:
        return None
    return joined


def _sixteenth(match: re.Match[str]) -> str:
    value = int(match[2])
    return f"{match[1]}={max(2, value // 16) if value > 2 else value}"


def run_cases(corpus: Sequence[str], seed: int, numbers: range, memory: int) -> Iterator[Result]:
    """The results in order, from one child after another."""
    context = multiprocessing.get_context("spawn")
    while numbers:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(theirs, list(corpus), seed, numbers, memory), daemon=True)
        child.start()
        theirs.close()
        for result in _received(ours, numbers):
            yield result
            numbers = range(result.number + 1, numbers.stop)
        if numbers:
            child.kill()
            child.join()
            yield Result(numbers.start, _SILENT, "lost", f"the child did not answer or died ({child.exitcode})")
            numbers = numbers[1:]
        child.join()


def _received(pipe: Connection, numbers: range) -> Iterator[Result]:
    """Results until the last number, or until the child does not answer."""
    patience = 120.0  # imports
    for _ in numbers:
        try:
            if not pipe.poll(patience):
                return
            yield pipe.recv()
        except EOFError:
            return
        patience = _SILENT


def _child(pipe: Connection, corpus: list[str], seed: int, numbers: range, memory: int) -> None:
    import torch

    from prune.model.build import DarknetModel
    from prune.verify.absorption import check_absorption
    from prune.verify.equivalence import check_equivalence

    def checked(pruned: Pruned) -> None:
        check_equivalence(pruned)
        check_absorption(pruned)
        DarknetModel(pruned.netdef)

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    _limit_memory(memory)
    with TemporaryDirectory() as folder:
        for number in numbers:
            pipe.send(run_case(corpus, seed, number, Path(folder), checked))


def run_case(corpus: Sequence[str], seed: int, number: int, folder: Path, check: Check | None = None) -> Result:
    """Runs one case in this process. An exception other than PruneError, and more than SLOW seconds, are failures."""
    case, start = make_case(seed, number, corpus), time.process_time()
    try:
        outcome, failure = exercise(case, folder, check), ""
    except Exception as error:
        outcome, failure = type(error).__name__, _place(error)
    seconds = time.process_time() - start
    if seconds > SLOW and not failure:
        outcome, failure = "slow", f"{seconds:.1f} s, then {outcome}"
    return Result(number, seconds, outcome, failure)


def _place(error: Exception) -> str:
    """The innermost lines in this project and the message."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "prune" in Path(frame.filename).parts]
    where = " < ".join(f"{Path(f.filename).parent.name}/{Path(f.filename).name}:{f.lineno}" for f in frames[:-4:-1])
    return f"at {where or '?'}: {str(error)[:200]!r}"


def _limit_memory(extra: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def show(results: Sequence[Result], corpus: int, seed: int, wall: float) -> None:
    """The closing table."""
    failures = sum(bool(result.failure) for result in results)
    slowest = sorted(results, key=lambda result: -result.seconds)[:5]
    print(f"{len(results)} cases of seed {seed} over {corpus} texts in {wall:.0f} s: {failures} failures")
    for outcome, count in Counter(result.outcome for result in results).most_common():
        print(f"  {outcome:<24}{count:>8}")
    print("  slowest: " + ", ".join(f"{r.seconds:.2f} s (case {r.number}, {r.outcome})" for r in slowest))


if __name__ == "__main__":
    sys.exit(main())
