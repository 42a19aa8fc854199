"""One run of a command: logging, the out folder (never overwritten without --overwrite), and the summary."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prune.cli.groups import RunArgs, require
from prune.cli.json_out import check_json, is_stdout, print_json, write_json
from prune.cli.lock import FolderLock, is_first_process
from prune.cli.outputs import check_creatable, earlier_outputs, refuse_existing
from prune.cli.program import command_name
from prune.errors import UsageError
from prune.files.reading import sha256
from prune.files.temporary import remove_leftovers
from prune.files.writing import atomic_write, refuse_overwriting
from prune.report.summary import FileRecord, build_summary, file_records, format_summary
from prune.report.visible import visible, visible_lines

SUMMARY = "summary.json"


def setup_logging(quiet: bool) -> None:
    """Log lines of `prune` are written to standard error, warnings marked as such."""
    handler = _StderrHandler()
    handler.setFormatter(_LineFormatter("%(message)s"))
    logger = logging.getLogger("prune")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


class _StderrHandler(logging.Handler):
    """Writes to the current sys.stderr."""

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
    """The files in the out folder written by the run that this one replaces: name and SHA-256."""
    read: Sequence[Path] = ()
    """Files that are read but not listed as inputs in the summary."""
    lock: FolderLock | None = None
    """The lock on the out folder, held until everything is written."""
    summary_name: str = SUMMARY
    """The name of the summary in the out folder."""

    @property
    def out(self) -> Path:
        """The out folder; raises UsageError if none was given."""
        if self.run.out is None:
            raise UsageError("--out DIR is missing: where should the results go?")
        return self.run.out

    def path(self, name: str) -> Path:
        """`out/name`; the summary will list it among the outputs."""
        path = self.out / name
        if path not in self.written:
            self.written.append(path)
        return path

    def echo(self, text: str) -> None:
        """Show a table or a closing line: on standard output, or on standard error under `--json -`."""
        if not self.run.quiet:
            print(visible_lines(text), file=sys.stderr if self._prints_json() else sys.stdout, flush=True)

    def begin_writing(self) -> Path:
        """The out folder; call this before writing into it. Removes the summary of the run that is replaced: until this
        one is finished, it would describe a mixture of both runs' files."""
        if self.run.overwrite:
            (self.out / self.summary_name).unlink(missing_ok=True)
        return self.out

    def finish(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the summary (if there is an out folder) and `--json`; returns the summary.

        `facts`: what CLI.md calls before/after, or the fields of a single network.
        """
        summary = self.summary(facts, file_records(path for path in self.written if path.is_file()))
        text = format_summary(summary)
        if self.run.out is not None and self.written:
            atomic_write(self.out / self.summary_name, text)
            self._remove_earlier()
        self.show(text)
        return summary

    def summary(self, facts: Mapping[str, Any], outputs: Sequence[FileRecord]) -> dict[str, Any]:
        """The summary of the run so far."""
        return build_summary(
            command=self.name,
            arguments=self.arguments,
            seed=self.run.seed,
            inputs=self.inputs,
            outputs=outputs,
            wall_seconds=time.monotonic() - self.started,
            facts=facts,
        )

    def show(self, text: str) -> None:
        """Write the summary's text to `--json`, and unlock the out folder: nothing more is written into it."""
        if self.lock is not None:
            self.lock.release()
        if self._prints_json():
            print_json(text)
        elif self.run.json is not None:
            write_json(Path(self.run.json), text)

    def _prints_json(self) -> bool:
        return self.run.json == "-" or (self.run.json is not None and is_stdout(Path(self.run.json)))

    def _remove_earlier(self) -> None:
        """Remove files of the replaced run that this one does not write: they would be taken for its results."""
        inputs = (Path(record.path) for record in self.inputs)
        kept = {path.resolve() for path in (*self.written, *inputs, *self.read)}
        for name, digest in self.earlier.items():
            path = self.out / name
            if path.is_file() and not path.is_symlink() and path.resolve() not in kept and sha256(path) == digest:
                path.unlink()


def open_command(
    namespace: argparse.Namespace,
    run: RunArgs,
    *,
    inputs: Sequence[Path | None],
    outputs: Sequence[str] = (),
    resume: Path | None = None,
    read: Sequence[Path] = (),
    summary: str = SUMMARY,
) -> Command:
    """Begin a command: set up logging, hash the inputs, check that no earlier result or input would be overwritten.

    `outputs`: names of the files it will write into `run.out` (`summary`, its own, is added). Raises UsageError
    if one exists already (without `--overwrite`) or is an input; OSError if an input is missing. `resume`: the
    checkpoint from which a run is resumed. If it is the out folder's own `last.pt`, the run continues in place and
    replaces its earlier outputs; any other checkpoint is an ordinary input. `read`: files that are read but not named
    in the summary.
    """
    setup_logging(run.quiet)
    given = [path for path in inputs if path is not None]
    for path in given:
        plain = not path.exists() or path.is_file() or path.is_dir()
        require(plain, f"{path}: is a pipe or a device, but inputs are read more than once; give a file")
    targets = [run.out / name for name in (*outputs, summary)] if run.out is not None and outputs else []
    in_place = resume is not None and run.out is not None and resume.resolve() == (run.out / "last.pt").resolve()
    asked = [Path(run.json)] if run.json not in (None, "-") and run.json is not None else []
    for path in asked:
        check_json(path, given, targets)
    refuse_overwriting(targets, given if in_place else [*given, resume])
    if not (run.overwrite or in_place):
        refuse_existing(targets)
    records = file_records(given if resume is None else [*given, resume])
    lock = _hold(run.out, targets if not (run.overwrite or in_place) else []) if run.out and targets else None
    if is_first_process():
        remove_leftovers([*targets, *asked])
    name = command_name()
    earlier = earlier_outputs(run.out, name) if run.out is not None and run.overwrite else {}
    began = time.monotonic()
    return Command(name, dict(vars(namespace)), run, records, began, [], earlier, read, lock, summary)


def _hold(out: Path, absent: Sequence[Path]) -> FolderLock | None:
    """The lock on the out folder; None on processes that write nothing. Raises UsageError if another run holds it, or a
    run that has just ended has written one of `absent`."""
    check_creatable(out)
    if not is_first_process():
        return None
    lock = FolderLock(out)
    try:
        refuse_existing(absent)
    except UsageError:
        lock.release()
        raise
    return lock
