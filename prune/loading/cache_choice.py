"""Where the decoded images are kept during a training: in memory, in a file, or nowhere."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prune.loading.free_memory import free_memory

CacheMode = Literal["auto", "ram", "disk", "off"]
MEMORY_SHARE, DISK_SHARE = 0.25, 0.1
"""The largest shares of the free memory and disk space that are taken without being asked for."""
GIB = 2**30


@dataclass(frozen=True, slots=True)
class CacheChoice:
    """The decision, and the line that reports it."""

    kind: Literal["ram", "disk", "off"]
    line: str


def choose_cache(asked: CacheMode, needed: int, folder: Path) -> CacheChoice:
    """`asked`, or under `auto` memory if the images take at most a quarter of what is free, else a file in `folder` if
    they take at most a tenth of what is free there, else nowhere. needed: their size in bytes."""
    size = f"{needed / GIB:.2f} GiB" if needed >= GIB else f"{needed / 2**20:.0f} MiB"
    if asked == "ram":
        return CacheChoice("ram", f"the decoded images are kept in memory ({size})")
    if asked == "disk":
        return CacheChoice("disk", f"the decoded images are kept in a file in {folder} ({size}) until the end")
    if asked == "off":
        return CacheChoice("off", "images are decoded at each use")
    memory, disk = free_memory(), free_space(folder)
    if memory is not None and needed <= MEMORY_SHARE * memory:
        return CacheChoice("ram", f"the decoded images are kept in memory ({size} of {memory / GIB:.1f} GiB free)")
    if disk is not None and needed <= DISK_SHARE * disk:
        where = f"in a file in {folder} ({size} of {disk / GIB:.0f} GiB free) until the end"
        return CacheChoice("disk", f"the decoded images are kept {where}")
    return CacheChoice("off", f"images are decoded at each use: {size} are too much to keep (--cache ram or disk does)")


def free_space(folder: Path) -> int | None:
    """Free bytes on the disk of a folder that may not exist yet; None if unknown."""
    for place in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            break
    return None
