"""Temporary files next to their targets: created, recognised, and removed after a killed process.

A name is `.NAME.RANDOM.prune`. Its writer holds a lock on it; an unlocked one was left by a process that died.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prune.files.locks import Lock, try_lock

SUFFIX = ".prune"
RANDOM = 8
LONGEST_NAME = 255
_ANY = re.compile(rf"\..+\.[a-z0-9_]{{{RANDOM}}}{re.escape(SUFFIX)}", re.DOTALL)


def open_temporary(target: Path) -> tuple[int, Path]:
    """A new, locked file next to `target`: its descriptor, open for writing, and its path."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=_prefix(target.name), suffix=SUFFIX)
        path = Path(name)
        if try_lock(descriptor) is not Lock.BUSY and path.exists():
            return descriptor, path
        os.close(descriptor)  # a cleaner came between the two steps and removes this one


def remove_leftovers(targets: Iterable[Path]) -> None:
    """Remove the temporary files that dead processes left next to `targets`, or anywhere in those that are folders."""
    wanted: dict[Path, set[str]] = {}
    for target in targets:
        wanted.setdefault(target.parent, set()).add(_prefix(target.name))
        if target.is_dir() and not target.is_symlink():
            for path in target.rglob(f".*{SUFFIX}"):
                if _ANY.fullmatch(path.name):
                    _remove(path)
    for folder, prefixes in wanted.items():
        for path in folder.iterdir() if folder.is_dir() else ():
            if _ANY.fullmatch(path.name) and path.name[: -RANDOM - len(SUFFIX)] in prefixes:
                _remove(path)


def _prefix(name: str) -> str:
    """`.NAME.`, cut where the whole name would be longer than file systems allow."""
    room = LONGEST_NAME - RANDOM - len(SUFFIX) - 2
    return f".{os.fsdecode(os.fsencode(name)[:room])}."


def _remove(path: Path) -> None:
    """Remove a file that no process has locked; our lock keeps others from starting to write it meanwhile."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            if try_lock(descriptor) is Lock.OURS:
                path.unlink()
        finally:
            os.close(descriptor)
