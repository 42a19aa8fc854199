"""Advisory locks that end with their process, so that no file has to be removed after a kill."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCKS = fcntl is not None
"""Whether this system supports locks."""
_HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class Lock(Enum):
    """The outcome of trying to lock a file or folder."""

    OURS = 1
    BUSY = 2
    UNSUPPORTED = 3
    """This system or file system has no such locks."""


def try_lock(descriptor: int) -> Lock:
    """Lock an open file or folder exclusively, without waiting, until the descriptor is closed."""
    if fcntl is None:
        return Lock.UNSUPPORTED
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        return Lock.BUSY if cause.errno in _HELD_BY_ANOTHER else Lock.UNSUPPORTED
    return Lock.OURS


def lock_folder(folder: Path) -> int | None:
    """Create a folder if needed and lock it: the descriptor that holds the lock, or None where there are no locks.

    Raises BlockingIOError where another process holds it.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        if not LOCKS:
            return None
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except PermissionError:  # a folder that may be written but not read
            return None
        got = try_lock(descriptor)
        if got is not Lock.BUSY and _is_at(descriptor, folder):
            return descriptor
        os.close(descriptor)
        if got is Lock.BUSY:
            raise BlockingIOError(errno.EWOULDBLOCK, "another process holds it", str(folder))


def _is_at(descriptor: int, folder: Path) -> bool:
    """Whether the open folder is still the one at that path: it may have been removed before it was locked."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(folder))
    return False
