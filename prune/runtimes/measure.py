"""How long networks take in runtimes, measured in turns, so that a slow phase of the machine affects all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prune.errors import DeploymentError
from prune.runtimes.process import Worker
from prune.runtimes.types import Array
from prune.runtimes.worker import Answer, Job

MOST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often each network is run. `warm_up` runs come first and are not timed; the `timed` ones are spread over
    rounds, each of which begins with one run that is not timed either, since other networks ran in between."""

    timed: int
    warm_up: int

    def rounds(self) -> list[int]:
        """The timed runs of each round: at most MOST_ROUNDS, as equal as can be."""
        count = min(MOST_ROUNDS, self.timed)
        return [self.timed // count + (n < self.timed % count) for n in range(count)]


@dataclass(frozen=True, slots=True)
class Measured:
    """A network in a runtime: `seconds` of each timed run, the peak memory of its process, what loading took, the
    precision it computes in, and its outputs; or the `failure` in one line."""

    seconds: tuple[float, ...] = ()
    peak_bytes: int = 0
    load_seconds: float = 0.0
    precision: str = ""
    outputs: tuple[Array, ...] = ()
    failure: str | None = None


def measure(jobs: Sequence[Job], repeats: Repeats, folder: Path, tick: Callable[[], None]) -> list[Measured]:
    """Measure each job in a process of its own; `tick` is called after each of `steps(jobs, repeats)` steps.

    All processes exist at once, but only one of them runs at any time.
    """
    with ExitStack() as stack:
        turns = [_Turns(job, stack, folder / f"worker-{n}", tick) for n, job in enumerate(jobs)]
        for turn in turns:
            turn.start(repeats.warm_up)
        for count in repeats.rounds():
            for turn in turns:
                turn.ask(1, count)
        return [turn.result for turn in turns]


def steps(jobs: Sequence[Job], repeats: Repeats) -> int:
    """How often `measure` calls `tick`."""
    return len(jobs) * (1 + len(repeats.rounds()))


class _Turns:
    """A job while it is measured. After a failure, all that follows is skipped."""

    def __init__(self, job: Job, stack: ExitStack, folder: Path, tick: Callable[[], None]) -> None:
        self.job, self.stack, self.folder, self.tick = job, stack, folder, tick
        self.worker: Worker | None = None
        self.result = Measured()

    def start(self, warm_up: int) -> None:
        """Load the network, take its outputs, and warm up."""
        self.worker = worker = self.stack.enter_context(Worker(self.job, self.folder))
        if self._try(worker.answer):
            self.result = replace(self.result, outputs=read_outputs(self.job.outputs))
            self._try(lambda: worker.ask(warm_up, 0))
        self.tick()

    def ask(self, untimed: int, timed: int) -> None:
        """One round."""
        worker = self.worker
        if worker is not None and self.result.failure is None:
            self._try(lambda: worker.ask(untimed, timed))
        self.tick()

    def _try(self, call: Callable[[], Answer]) -> bool:
        try:
            found = call()
        except DeploymentError as error:
            self.result = Measured(failure=str(error))
            return False
        seconds = self.result.seconds + found.seconds
        self.result = replace(
            self.result,
            seconds=seconds,
            peak_bytes=found.peak_bytes,
            load_seconds=found.load_seconds,
            precision=found.precision,
        )
        return True


def read_outputs(path: Path) -> tuple[Array, ...]:
    """The arrays of an .npz in the order in which they were saved."""
    with np.load(path) as arrays:
        return tuple(arrays[f"arr_{n}"] for n in range(len(arrays.files)))


def difference(found: Sequence[Array], reference: Sequence[NDArray[np.floating]]) -> float:
    """max|a−b| / max|b| over all maps, b being the reference. Raises DeploymentError where their shapes differ or a
    value is not finite."""
    shapes = [a.shape for a in found], [b.shape for b in reference]
    if shapes[0] != shapes[1]:
        raise DeploymentError(f"its outputs have the shapes {shapes[0]}, not {shapes[1]}")
    gap = max(float(np.abs(a - b).max()) for a, b in zip(found, reference, strict=True))
    if not np.isfinite(gap):
        raise DeploymentError("its outputs are not finite")
    largest = max(float(np.abs(b).max()) for b in reference)
    return gap / largest if largest else gap
