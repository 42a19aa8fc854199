"""Starting and asking the processes that measure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import prune
from prune.errors import DeploymentError
from prune.runtimes.worker import Answer, Job, read_answer, reason

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What libraries read when they are loaded, so that it must be set before the process starts."""


class Worker:
    """A process that measures one network in one runtime; ends with the block."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.json").write_text(job.text(), encoding="utf-8")
        with (folder / "messages.txt").open("wb") as messages:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "prune.runtimes.worker", str(folder / "job.json")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                env=environment(job.threads),
                text=True,
                process_group=0,  # its own: Ctrl-C reaches the command only, which then ends this group
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self.process.wait()

    def ask(self, untimed: int, timed: int) -> Answer:
        """Run so many times without and with the clock. Raises DeploymentError with the reason where it failed."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: `answer` says why
            self.process.stdin.write(f"{untimed} {timed}\n")
            self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Answer:
        """The next answer; the first comes unasked, once the network is loaded. Raises DeploymentError with the reason
        where the process failed or ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise DeploymentError(self._ending())
        answer = read_answer(line)
        if answer.failure is not None:
            raise DeploymentError(answer.failure)
        return answer

    def _kill(self) -> None:
        """End the process and what it has started, such as a converter."""
        if hasattr(os, "killpg") and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()

    def _ending(self) -> str:
        code = self.process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        said = (self.folder / "messages.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return reason(RuntimeError(f"its process ended with {how}" + (f": {said[-1]}" if said else "")))


def environment(threads: int) -> dict[str, str]:
    """The environment of a process of so many threads, which finds this package."""
    root = str(Path(prune.__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"PYTHONPATH": paths}
