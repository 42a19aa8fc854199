"""A folder that appears whole or not at all, and that replaces only what its own summary lists."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prune.data.manifest import foreign_entry, read_manifest, remove_listed
from prune.errors import UsageError
from prune.files.locks import lock_folder
from prune.files.writing import naming

NEW, OLD = "new", "old"
SUFFIX = ".prune"
TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


@contextmanager
def staged_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder beside `target`, renamed to it when the block ends without an error.

    `overwrite`: it replaces an earlier result (see `check_free`), of which only the listed files are removed. After an
    error nothing of it is left, and an earlier result is unchanged. Leftovers of a killed run are removed first. Raises
    UsageError where another run is writing the same folder, or where something has appeared in its place.
    """
    target = Path(os.path.realpath(target))  # where `target` is a link, the folder that it leads to
    with _held(target) as staging:
        plain = staging / NEW
        plain.mkdir()
        yield plain
        _put_in_place(plain, target, staging / OLD, overwrite)


def check_free(target: Path, command: str, overwrite: bool) -> None:
    """Raises UsageError unless `target` is absent or empty, or with `overwrite` contains nothing except the files that
    its summary.json lists, as `command` wrote them: anything else would be lost."""
    real = Path(os.path.realpath(target))
    if _staging(real).is_dir():
        with _held(real):  # restores an earlier result that a killed run had moved away
            pass
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    listed = read_manifest(target, command)
    if not overwrite or listed is None:
        hint = "" if overwrite else ", or pass --overwrite if it contains an earlier conversion"
        raise UsageError(f"{target}: exists already and is not empty; choose another --out{hint}")
    foreign = foreign_entry(target, listed)
    if foreign is not None:
        raise UsageError(f"{target / foreign}: is not as {command} wrote it; move it away, or choose another --out")


def _put_in_place(plain: Path, target: Path, old: Path, overwrite: bool) -> None:
    """Rename `plain` to `target`; with `overwrite` an earlier result, checked once more, is replaced."""
    if overwrite and os.path.lexists(target):
        target.rename(old)
    try:
        if old.is_dir():
            _refuse_foreign(old, target)
        _rename(plain, target)
    except BaseException:
        if old.is_dir() and not os.path.lexists(target):
            old.rename(target)
        raise
    if old.is_dir():
        _remove_old(old)


def _rename(plain: Path, target: Path) -> None:
    try:
        plain.rename(target)
    except OSError as cause:
        if cause.errno not in TAKEN:
            raise
        raise UsageError(f"{target}: appeared while this command ran; choose another --out") from cause


def _refuse_foreign(old: Path, target: Path) -> None:
    """Raise UsageError for anything that has appeared in an earlier result since `check_free`."""
    foreign = foreign_entry(old, read_manifest(old) or {})
    if foreign is not None:
        raise UsageError(f"{target / foreign}: has appeared or changed while this command ran; move it away")


def _remove_old(old: Path) -> None:
    remove_listed(old, read_manifest(old) or {})
    if old.is_dir():
        raise UsageError(f"{old}: contains files of an earlier folder that this command did not write; move them away")


def _staging(target: Path) -> Path:
    return target.with_name(f".{target.name}{SUFFIX}")


@contextmanager
def _held(target: Path) -> Iterator[Path]:
    """The staging folder of `target`, empty, and locked by this process; leftovers of a killed run are removed.

    Raises UsageError where another process holds it, or where it contains files that no run of this project wrote.
    """
    staging = _staging(target)
    try:
        with naming(target, unless_named=False):
            descriptor = lock_folder(staging)
    except BlockingIOError as cause:
        message = "another run is writing this folder; wait for it, or choose another --out"
        raise UsageError(f"{target}: {message}") from cause
    try:
        _recover(staging, target)
        yield staging
    finally:
        shutil.rmtree(staging / NEW, ignore_errors=True)
        with suppress(OSError):
            staging.rmdir()
        if descriptor is not None:
            os.close(descriptor)


def _recover(staging: Path, target: Path) -> None:
    """Clean up after a killed run: an earlier result is moved back to its place, or, where its successor already
    exists, its listed files are removed."""
    foreign = sorted({path.name for path in staging.iterdir()} - {NEW, OLD})
    if foreign:
        raise UsageError(f"{staging / foreign[0]}: is in the way of the files to be written; move it away")
    old = staging / OLD
    if old.is_dir() and os.path.lexists(target):
        _remove_old(old)
    elif old.is_dir():
        old.rename(target)
    shutil.rmtree(staging / NEW, ignore_errors=True)
