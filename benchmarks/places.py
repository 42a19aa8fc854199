"""Where the benchmarks find cfgs and data: those of this project, and the shared data if a checkout has it.

`python -m benchmarks.places FILE …` exits with 2 and one line if one of them is missing; for shell scripts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("PRUNE_SHARED_DATA") or ROOT.parent / "shared" / "data").expanduser()
_NAMED = 3
"""How many missing files one line names."""


def require(*needed: Path, fix: str = "check the path") -> None:
    """Exit with code 2 and one line that names the missing files and folders, if any, and the `fix`; for shared data
    that is to set its folder."""
    missing = [path for path in needed if not path.exists()]
    if not missing:
        return
    if any(path.resolve().is_relative_to(SHARED.resolve()) for path in missing):
        fix = f"the shared data was searched for in {SHARED}; set PRUNE_SHARED_DATA to its folder"
    named = ", ".join(map(str, missing[:_NAMED])) + (f" and {len(missing) - _NAMED} more" * (len(missing) > _NAMED))
    print(f"error: {named}: not found; {fix}", file=sys.stderr)
    raise SystemExit(2)


def default_places() -> list[Path]:
    """Our own cfgs, the cfg zoo, and the small network that comes with official weights; those that exist."""
    places = [ROOT / "cfg", SHARED / "cfg-zoo", SHARED / "weights" / "yolo-fastest-1.1.cfg"]
    return [place for place in places if place.exists()]


def find_cfgs(places: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Every cfg of some files and folders, with a name that contains its folder but no absolute path."""
    for place in places:
        for file in sorted(place.rglob("*.cfg")) if place.is_dir() else [place]:
            base = place.resolve().parent if place.is_dir() else file.resolve().parent.parent
            yield file, file.resolve().relative_to(base).as_posix()


if __name__ == "__main__":
    require(*map(Path, sys.argv[1:]))
