"""Where `--json` writes the summary: a separate file, a pipe or a device, or standard output."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prune.cli.groups import require
from prune.cli.outputs import refuse_foreign
from prune.files.writing import atomic_write, naming, refuse_overwriting
from prune.report.summary import is_summary


def is_stdout(path: Path) -> bool:
    """Whether a path is our standard output (`/dev/stdout`), wherever that leads."""
    with suppress(OSError, ValueError):
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    return False


def check_json(path: Path, inputs: Iterable[Path], targets: Iterable[Path]) -> None:
    """Raise UsageError if `--json` would replace an input, a file that the command writes itself, or anything that is
    not an earlier summary."""
    refuse_overwriting([path], inputs)
    for target in targets:
        own = path.resolve() == target.resolve()
        require(not own, f"--json {path}: this command writes {target.name} itself; choose another file")
    if not is_stdout(path):
        refuse_foreign(path, is_summary, "a summary")


def print_json(text: str) -> None:
    """Print JSON as UTF-8, whatever the terminal's encoding."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.flush()
    else:
        print(text, end="", flush=True)


def write_json(path: Path, text: str) -> None:
    """Write the summary: in place to a pipe or a device, which a rename would replace by a file; through a link.

    Raises UsageError if something else has appeared there since `check_json`.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with naming(path):
            path.write_text(text, encoding="utf-8")
        return
    refuse_foreign(path, is_summary, "a summary")
    atomic_write(path.resolve() if path.is_symlink() else path, text)
