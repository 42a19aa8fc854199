"""How much memory is free."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Bytes that this process can still use without swapping, a container's limit included; None if unknown."""
    known = [size for size in (_of_the_system(), _of_the_container()) if size is not None]
    return min(known, default=None)


def _of_the_system() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_the_container() -> int | None:
    """What the limit of a control group (cgroup v2) leaves; file pages that can be dropped count as free."""
    with suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        rows = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(rows.get("inactive_file", 0)))
    return None
