"""Advisory locks that end with their process, so that no file has to be removed after a kill."""

from __future__ import annotations

import errno
from enum import Enum
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCKS = fcntl is not None
"""Whether this system has them."""
_HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class Lock(Enum):
    """What came of trying to lock a file or folder."""

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
