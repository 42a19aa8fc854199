"""The peak memory of this process."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Bytes in memory at most, so far. On Linux the kernel's VmHWM: ru_maxrss would include what the process that
    started this one had in memory then."""
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="ascii", errors="replace")):
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
