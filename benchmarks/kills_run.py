"""Runs a training command in a process forked from this one, which has already imported torch, and kills it."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.kills_setup import COMMANDS
from benchmarks.places import ROOT
from prune.cli import exit_code

MOVES = ("replace", "rename", "unlink", "rmdir")
FAILED = 99
PRELOADED = ("prune.train.session", "prune.train.sparsity", "prune.train.distill", "torch._dynamo")
"""What every child would import itself, the last at the first step of an optimiser."""


def prepare() -> None:
    """Import what the commands import, once for all children, and let each compute in one thread."""
    torch.set_num_threads(1)
    sys.path.insert(0, str(ROOT))
    for name in (*(command.partition("-")[0] for command in COMMANDS), *PRELOADED):
        importlib.import_module(name)


@dataclass(frozen=True, slots=True)
class Kill:
    """When a process is killed: `before` or `after` its n-th rename or removal of a file, or `at` n seconds."""

    kind: str
    when: float

    def __str__(self) -> str:
        return f"{self.kind} {self.when:.2f} s" if self.kind == "at" else f"{self.kind} move {self.when:.0f}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a process ended: killed, or with an exit code and its output."""

    killed: bool
    code: int
    output: str


def run(
    folder: Path, command: str, arguments: Sequence[str], kill: Kill | None = None, counted: Path | None = None
) -> Outcome:
    """Run a command in `folder`, and kill it; or write to `counted` how often it has renamed or removed a file."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _be_child(folder, command, arguments, output.fileno(), _Moves(kill), counted)
        if kill is not None and kill.kind == "at":
            time.sleep(kill.when)
            os.kill(child, signal.SIGKILL)  # not waited for yet, so the id is still valid even if it has ended
        _, status = os.waitpid(child, 0)
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Outcome(os.WIFSIGNALED(status), os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1, text)


class _Moves:
    """Counts the renames and removals of the process, and kills it at the requested one."""

    def __init__(self, kill: Kill | None) -> None:
        self.kill, self.count = kill, 0

    def watch(self) -> None:
        for name in MOVES:
            setattr(os, name, self._watched(getattr(os, name)))

    def _watched(self, move: Callable[..., Any]) -> Callable[..., Any]:
        def moved(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            self._end("before")
            done = move(*arguments, **named)
            self._end("after")
            return done

        return moved

    def _end(self, kind: str) -> None:
        if self.kill is not None and self.kill.kind == kind and self.count == self.kill.when:
            os.kill(os.getpid(), signal.SIGKILL)


def _be_child(
    folder: Path, command: str, arguments: Sequence[str], output: int, moves: _Moves, counted: Path | None
) -> None:
    """The forked process; it never returns."""
    code = FAILED
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        name = command.partition("-")[0]
        sys.argv = [f"{name}.py", *arguments]
        main = importlib.import_module(name).main
        moves.watch()
        code = exit_code(main)
        if counted is not None:
            counted.write_text(str(moves.count))
    finally:
        sys.stderr.flush()
        os._exit(code)
