"""Locks the out folder of a run while it is written: two runs would mix their files."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prune import startup
from prune.errors import UsageError
from prune.files.locks import lock_folder

_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()


class FolderLock:
    """An exclusive lock on a folder, which is created if missing; it ends with `release`, or with the process.

    Folders it created that are then still empty are removed. Raises UsageError if another run holds the lock,
    OSError if the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            self._descriptor = lock_folder(folder)
        except BlockingIOError as cause:
            message = "another run is writing into this folder; wait for it, or choose another --out"
            raise UsageError(f"{folder}: {message}") from cause
        self._release = weakref.finalize(self, _release, self._descriptor, made)
        _held.add(self)

    def release(self) -> None:
        """Release the lock. Further calls do nothing."""
        self._release()
        _held.discard(self)

    def forget(self) -> None:
        """Drop the lock in a forked process; the parent keeps it."""
        if self._release.detach() and self._descriptor is not None:
            os.close(self._descriptor)


def release_all() -> None:
    """Release every lock of this process."""
    for lock in list(_held):
        lock.release()


def is_first_process() -> bool:
    """Whether this process writes files: of those that torch.distributed.run starts, the one of rank 0."""
    return os.environ.get("RANK", "0") == "0"


def _release(descriptor: int | None, made: Iterable[Path]) -> None:
    with suppress(OSError):  # stops at the first folder that is not empty
        for folder in made:
            folder.rmdir()
    if descriptor is not None:
        os.close(descriptor)


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()


startup.cleanups.append(release_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
