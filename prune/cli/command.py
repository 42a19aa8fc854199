"""One run of a command: logging, the out folder that is never overwritten unasked, and the summary."""

from __future__ import annotations

import argparse
import errno
import io
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prune.cli.groups import RunArgs, require
from prune.darknet.files import atomic_write, refuse_overwriting, sha256
from prune.errors import UsageError
from prune.report.summary import FileRecord, build_summary, file_records, format_summary
from prune.report.visible import visible, visible_lines


def setup_logging(quiet: bool) -> None:
    """Log lines of `prune` go to standard error, warnings marked as such."""
    handler = _StderrHandler()
    handler.setFormatter(_LineFormatter("%(message)s"))
    logger = logging.getLogger("prune")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


class _StderrHandler(logging.Handler):
    """Writes to what sys.stderr is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return mark + visible(super().format(record))


@dataclass(slots=True)
class Command:
    """One run of a command, from its parsed arguments to its summary."""

    name: str
    arguments: dict[str, Any]
    run: RunArgs
    inputs: list[FileRecord]
    started: float
    written: list[Path] = field(default_factory=list)
    earlier: Mapping[str, str] = field(default_factory=dict)
    """The files that the run that this one replaces has written into the out folder: name and SHA-256."""
    read: Sequence[Path] = ()
    """What is only read, without being an input that the summary names."""

    @property
    def out(self) -> Path:
        """The out folder; raises UsageError where none was asked for."""
        if self.run.out is None:
            raise UsageError("--out DIR is missing: where should the results go?")
        return self.run.out

    def path(self, name: str) -> Path:
        """`out/name`, which the summary will list among the outputs."""
        path = self.out / name
        if path not in self.written:
            self.written.append(path)
        return path

    def echo(self, text: str) -> None:
        """Show a table or a closing line: on standard output, or on standard error under `--json -`."""
        if not self.run.quiet:
            print(visible_lines(text), file=sys.stderr if self._prints_json() else sys.stdout, flush=True)

    def finish(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write `summary.json` (where there is an out folder) and `--json`; returns the summary.

        `facts`: what CLI.md calls before/after, or the fields of a single network.
        """
        summary = build_summary(
            command=self.name,
            arguments=self.arguments,
            seed=self.run.seed,
            inputs=self.inputs,
            outputs=file_records(path for path in self.written if path.is_file()),
            wall_seconds=time.monotonic() - self.started,
            facts=facts,
        )
        text = format_summary(summary)
        if self.run.out is not None and self.written:
            atomic_write(self.out / "summary.json", text)
            self._remove_earlier()
        if self._prints_json():
            _print_json(text)
        elif self.run.json is not None:
            _write_json(Path(self.run.json), text)
        return summary

    def _prints_json(self) -> bool:
        return self.run.json == "-" or (self.run.json is not None and _is_stdout(Path(self.run.json)))

    def _remove_earlier(self) -> None:
        """What the replaced run had, and this one has not, would pass for a result of this one."""
        inputs = (Path(record.path) for record in self.inputs)
        kept = {path.resolve() for path in (*self.written, *inputs, *self.read)}
        for name, digest in self.earlier.items():
            path = self.out / name
            if path.is_file() and not path.is_symlink() and path.resolve() not in kept and sha256(path) == digest:
                path.unlink()


def _earlier_outputs(out: Path, command: str) -> dict[str, str]:
    """The files that a finished run of the same command has left in the folder itself, by its summary. (What lies in
    folders below it may be in use elsewhere: crops, say.)"""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        if summary["command"] == command:
            was = Path(summary["arguments"]["out"])
            records = [(Path(record["path"]), str(record["sha256"])) for record in summary["outputs"]]
            return {path.name: digest for path, digest in records if path.parent == was}
    return {}


def _is_stdout(path: Path) -> bool:
    """Whether a path leads to our standard output (`/dev/stdout`), wherever that goes."""
    with suppress(OSError, ValueError):
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    return False


def _print_json(text: str) -> None:
    """JSON is UTF-8, whatever the terminal's encoding."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    else:
        print(text, end="", flush=True)


def _write_json(path: Path, text: str) -> None:
    """Write the summary; to a pipe or a device as it is, which a rename would replace by a file; through a link."""
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_text(text, encoding="utf-8")
    else:
        atomic_write(path.resolve() if path.is_symlink() else path, text)


def open_command(
    namespace: argparse.Namespace,
    run: RunArgs,
    *,
    inputs: Sequence[Path | None],
    outputs: Sequence[str] = (),
    resume: Path | None = None,
    read: Sequence[Path] = (),
) -> Command:
    """Begin a command: set up logging, hash the inputs, check that nothing of value would be overwritten.

    `outputs`: names of the files it will write into `run.out` (`summary.json` is added). Raises UsageError
    where one exists already (unless `--overwrite`) or is an input; OSError where an input is missing.
    `resume`: the checkpoint that a run goes on from. If it is the out folder's own `last.pt`, the run goes on
    in place and its earlier outputs may be replaced; any other is an input like the rest. `read`: files that are read
    but not named in the summary.
    """
    setup_logging(run.quiet)
    given = [path for path in inputs if path is not None]
    for path in given:
        plain = not path.exists() or path.is_file() or path.is_dir()
        require(plain, f"{path}: is a pipe or a device, but inputs are read more than once; give a file")
    targets = [run.out / name for name in (*outputs, "summary.json")] if run.out is not None and outputs else []
    if run.json not in (None, "-"):
        refuse_overwriting([str(run.json)], given)
        for target in targets:
            own = Path(str(run.json)).resolve() == target.resolve()
            require(not own, f"--json {run.json}: this command writes {target.name} itself; choose another file")
    in_place = resume is not None and run.out is not None and resume.resolve() == (run.out / "last.pt").resolve()
    refuse_overwriting(targets, given if in_place else [*given, resume])
    if not (run.overwrite or in_place):
        refuse_existing(targets)
    records = file_records(given if resume is None else [*given, resume])
    if run.out is not None and outputs:
        check_creatable(run.out)
    name = Path(sys.argv[0]).name
    earlier = _earlier_outputs(run.out, name) if run.out is not None and run.overwrite else {}
    return Command(name, dict(vars(namespace)), run, records, time.monotonic(), earlier=earlier, read=read)


def check_creatable(folder: Path) -> None:
    """Raise now what writing into `folder` would raise hours later; it is made with the first file."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest))


def refuse_existing(targets: Sequence[Path]) -> None:
    """Raise UsageError if one of `targets` exists."""
    for path in targets:
        require(
            not path.exists(),
            f"{path} exists already: choose another place, or pass --overwrite to replace it",
        )
