"""Where the benchmarks find cfgs and data: those of this project, and the shared data where a checkout has it.

`python -m benchmarks.places FILE …` ends with 2 and one line where one of them is missing; for shell scripts.
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
    """Leave with exit code 2 and one line that names the files and folders that are missing, if any are, and the `fix`;
    that of shared data is its folder."""
    missing = [path for path in needed if not path.exists()]
    if not missing:
        return
    if any(path.resolve().is_relative_to(SHARED.resolve()) for path in missing):
        fix = f"the shared data was looked for in {SHARED}, set PRUNE_SHARED_DATA to its folder"
    named = ", ".join(map(str, missing[:_NAMED])) + (f" and {len(missing) - _NAMED} more" * (len(missing) > _NAMED))
    print(f"error: {named}: not found; {fix}", file=sys.stderr)
    raise SystemExit(2)


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


if __name__ == "__main__":
    require(*map(Path, sys.argv[1:]))
