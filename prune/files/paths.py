"""Paths as lists, descriptors and annotations spell them: relative, with `~`, or written on Windows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


def expand_user(text: str) -> Path:
    """The path with `~` replaced by a home folder; unchanged where there is no such user."""
    path = Path(text)
    try:
        return path.expanduser() if text.startswith("~") else path
    except RuntimeError:
        return path


def spellings(text: str) -> tuple[str, ...]:
    """A path as given and, where it was written on Windows (`obj\\a.jpg`), with slashes as here."""
    return (text, text.replace("\\", "/")) if "\\" in text else (text,)


def candidates(text: str, folders: Iterable[Path]) -> Iterator[Path]:
    """The paths that `text` may mean in the folders, best first: as given in all of them, then read as from Windows."""
    places = tuple(folders)
    return (folder / expand_user(spelling) for spelling in spellings(text) for folder in places)


def find_path(text: str, folders: Iterable[Path], exists: Callable[[Path], bool] = os.path.exists) -> Path | None:
    """The first of `candidates` that exists, or None. (`os.path.exists` never fails, whereas `Path.exists` raises for a
    name that no file can have.)"""
    return next((path for path in candidates(text, folders) if exists(path)), None)
