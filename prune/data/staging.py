"""A folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prune.errors import UsageError

MARK = "summary.json"


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` that takes its name when the block ended without an error, and its place
    where there was one already (see `check_free`). After an error nothing of it is left."""
    target = Path(os.path.realpath(target))  # where `target` is a link, the folder that it leads to
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        plain = staging / "new"  # mkdtemp's own folder is closed to all others
        plain.mkdir()
        yield plain
        replaced = target.exists()
        if replaced:
            target.rename(staging / "old")
        try:
            plain.rename(target)
        except BaseException:
            if replaced:
                (staging / "old").rename(target)
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_free(target: Path, command: str, overwrite: bool) -> None:
    """Raises UsageError unless `target` is absent or empty, or `overwrite` is asked for and its summary.json says
    that `command` made it: a folder with anything else in it is never replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (overwrite and _made_by(target) == command):
        mend = "" if overwrite else ", or pass --overwrite where it holds an earlier conversion"
        raise UsageError(f"{target}: exists already and is not empty; choose another --out{mend}")


def _made_by(folder: Path) -> object:
    with suppress(OSError, ValueError, AttributeError):
        return json.loads((folder / MARK).read_text(encoding="utf-8")).get("command")
    return None
