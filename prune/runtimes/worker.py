"""A process that measures one network in one runtime: `python -m prune.runtimes.worker JOB.json`.

It loads, runs once and saves the outputs, then measures as often as it is asked to on standard input (`UNTIMED TIMED`
per line). Every answer is one line of JSON: see `Answer`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

import numpy as np

from prune.runtimes.memory import peak_memory
from prune.runtimes.table import RUNTIMES
from prune.runtimes.types import Loaded, NetworkFiles

LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Job:
    """What a process measures. `imgs`: the input, an .npy (B, C, H, W); `outputs`: the .npz to write."""

    runtime: str
    files: NetworkFiles
    imgs: Path
    outputs: Path
    threads: int

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), default=str)


def read_job(text: str) -> Job:
    """The inverse of `Job.text`."""
    found = json.loads(text)
    files = found["files"]
    heads, folder, unexported = tuple(files.pop("heads")), Path(files.pop("folder")), str(files.pop("unexported"))
    paths = {name: None if path is None else Path(path) for name, path in files.items()}
    return Job(
        runtime=found["runtime"],
        files=NetworkFiles(folder, heads, unexported=unexported, **paths),
        imgs=Path(found["imgs"]),
        outputs=Path(found["outputs"]),
        threads=found["threads"],
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process reports: why it failed, or seconds of each timed run, its peak memory in bytes until now, what
    loading took, and the precision of the runtime."""

    failure: str | None = None
    seconds: tuple[float, ...] = ()
    peak_bytes: int = 0
    load_seconds: float = 0.0
    precision: str = ""


def read_answer(line: str) -> Answer:
    """An answer from its line. Raises ValueError where it is none."""
    found = json.loads(line)
    if not isinstance(found, dict) or found.keys() != {item.name for item in fields(Answer)}:
        raise ValueError(line)
    return Answer(**found | {"seconds": tuple(found["seconds"])})


def main() -> int:
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer

    def answer(found: Answer) -> None:
        print(json.dumps(asdict(found)), file=answers, flush=True)

    try:
        serve(read_job(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.stdin, answer)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # a runtime may raise anything: all of it is a reason to report
        answer(Answer(failure=reason(error)))
        return 1
    return 0


def serve(job: Job, requests: IO[str], answer: Callable[[Answer], None]) -> None:
    """Load, run, save the outputs and answer; then answer each request until there are no more."""
    imgs = np.load(job.imgs)
    started = time.perf_counter()
    loaded = RUNTIMES[job.runtime].load(job.files, imgs.shape, job.threads)
    seconds = time.perf_counter() - started
    np.savez(job.outputs, *loaded.run(imgs))
    answer(Answer(None, (), peak_memory(), seconds, loaded.precision))
    for request in requests:
        untimed, repeats = map(int, request.split())
        for _ in range(untimed):
            loaded.infer()
        times = tuple(timed(loaded) for _ in range(repeats))
        answer(Answer(None, times, peak_memory(), seconds, loaded.precision))


def timed(loaded: Loaded) -> float:
    """The seconds of one run."""
    started = time.perf_counter()
    loaded.infer()
    return time.perf_counter() - started


def reason(error: BaseException) -> str:
    """An error in one line of printable ASCII, cut where it is long."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.encode("ascii", "replace").decode()
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."


if __name__ == "__main__":
    sys.exit(main())
