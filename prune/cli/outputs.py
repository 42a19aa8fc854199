"""Which files a command may write, and which it must not replace."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prune.cli.groups import require
from prune.errors import FileError
from prune.files.reading import decode_text, read_bytes


def check_creatable(folder: Path) -> None:
    """Raise the error now that writing into `folder` would raise hours later; it is created with the first file."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest))


def refuse_existing(targets: Iterable[Path]) -> None:
    """Raise UsageError if one of `targets` exists; a link does, even if broken."""
    for path in targets:
        require(
            not os.path.lexists(path),
            f"{path} exists already: choose another --out, or pass --overwrite to replace it",
        )


def refuse_foreign(path: Path, is_ours: Callable[[str], bool], what: str) -> None:
    """Raise UsageError unless `path` is absent, a pipe or a device, or a file whose text `is_ours`.

    `what`: what may be replaced there, such as "a summary".
    """
    if not os.path.lexists(path) or (path.exists() and not path.is_file() and not path.is_dir()):
        return
    ours = False
    with suppress(FileError):
        ours = path.is_file() and is_ours(decode_text(read_bytes(path)))  # read_text refuses web pages
    require(ours, f"{path} exists and is not {what} written by this project: choose another file, or remove it")


def earlier_outputs(out: Path, command: str) -> dict[str, str]:
    """The files that a finished run of the same command has written directly into the folder, according to its summary:
    name and SHA-256. (Files in subfolders, such as crops, may be in use elsewhere.)"""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        if summary["command"] == command:
            was = Path(summary["arguments"]["out"])
            records = [(Path(record["path"]), str(record["sha256"])) for record in summary["outputs"]]
            return {path.name: digest for path, digest in records if path.parent == was}
    return {}
