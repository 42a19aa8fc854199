"""The out folder of a run is locked while it is written: two runs would mix their files."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prune import startup
from prune.darknet.locks import LOCKS, Lock, try_lock
from prune.errors import UsageError

_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()


class FolderLock:
    """An exclusive lock on a folder, which is made if need be; it ends with `release`, or with the process.

    Folders that it made and that are still empty then are removed. Raises UsageError where another run holds the
    lock, OSError where the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        made = _make(folder)
        self._descriptor = _lock(folder)
        self._release = weakref.finalize(self, _release, self._descriptor, made)
        _held.add(self)

    def release(self) -> None:
        """Give the lock back. Calling it again does nothing."""
        self._release()
        _held.discard(self)

    def forget(self) -> None:
        """Let go of it in a forked process; the lock stays with the parent."""
        if self._release.detach() and self._descriptor is not None:
            os.close(self._descriptor)


def release_all() -> None:
    """Give back every lock of this process."""
    for lock in list(_held):
        lock.release()


def is_first_process() -> bool:
    """Whether this process writes files: of those that torch.distributed.run starts, the one of rank 0."""
    return os.environ.get("RANK", "0") == "0"


def _make(folder: Path) -> list[Path]:
    """Make a folder with its parents; those that were missing, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _lock(folder: Path) -> int | None:
    """The folder's descriptor, locked; None where there are no locks."""
    while LOCKS:
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except PermissionError:  # a folder that may be written but not read
            return None
        got = try_lock(descriptor)
        if got is Lock.OURS and not _is_at(descriptor, folder):  # removed before it was locked
            os.close(descriptor)
            folder.mkdir(parents=True, exist_ok=True)
            continue
        if got is not Lock.BUSY:
            return descriptor
        os.close(descriptor)
        raise UsageError(f"{folder}: another run is writing into this folder; wait for it, or choose another --out")
    return None


def _is_at(descriptor: int, folder: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(folder))
    return False


def _release(descriptor: int | None, made: Iterable[Path]) -> None:
    with suppress(OSError):  # the first that is not empty
        for folder in made:
            folder.rmdir()
    if descriptor is not None:
        os.close(descriptor)


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()


startup.cleanups.append(release_all)
if LOCKS:
    os.register_at_fork(after_in_child=_forget_all)
