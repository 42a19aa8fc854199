"""Where the benchmarks find cfgs: those of this project, and the shared data where a checkout has it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PRUNE_SHARED_DATA") or ROOT.parent / "shared" / "data").expanduser()


def default_places() -> list[Path]:
    """Our own cfgs, the cfg zoo, and the small network that comes with official weights; those that exist."""
    places = [ROOT / "cfg", SHARED / "cfg-zoo", SHARED / "weights" / "yolo-fastest-1.1.cfg"]
    return [place for place in places if place.exists()]


def find_cfgs(places: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Every cfg of some files and folders, with a name that says its folder but nothing of the machine."""
    for place in places:
        for file in sorted(place.rglob("*.cfg")) if place.is_dir() else [place]:
            base = place.resolve().parent if place.is_dir() else file.resolve().parent.parent
            yield file, file.resolve().relative_to(base).as_posix()
