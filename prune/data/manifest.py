"""The files of a conversion, as its summary.json lists them, so that nothing else is ever replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from prune.files.reading import sha256

SUMMARY = "summary.json"
LINK = "-> "
Manifest = Mapping[str, str]
"""Names relative to the folder; the SHA-256 of a file, or the target of a link."""


def link_entry(target: Path) -> str:
    """How a link to `target` is listed."""
    return f"{LINK}{target}"


def read_manifest(folder: Path, command: str | None = None) -> Manifest | None:
    """The files that a summary in `folder` lists; None without a summary (or one of `command`)."""
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        listed = summary["files"]
        plain = isinstance(listed, dict) and all(isinstance(entry, str) for entry in listed.values())
        if plain and command in (None, summary["command"]):
            return dict(listed)
    return None


def foreign_entry(folder: Path, listed: Manifest) -> str | None:
    """The first file, link or folder below `folder` that is not as listed; None where there is none."""
    folders = {str(parent) for name in listed for parent in Path(name).parents}
    for name, is_folder in _entries(folder):
        if is_folder:
            expected = name in folders
        else:
            expected = name == SUMMARY or (name in listed and _is_as_listed(folder / name, listed[name]))
        if not expected:
            return name
    return None


def remove_listed(folder: Path, listed: Manifest) -> None:
    """Remove the files listed, the summary last, then all empty folders, including `folder`."""
    for name in (*listed, *([SUMMARY] if listed else [])):
        (folder / name).unlink(missing_ok=True)
    for parent, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # it is not empty, and kept
            os.rmdir(parent)


def _entries(folder: Path) -> Iterator[tuple[str, bool]]:
    """Everything below a folder, by its relative name, and whether it is a folder itself; links are not followed."""
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted(files + links):
            yield os.path.relpath(os.path.join(parent, name), folder), False
        for name in sorted(set(folders) - set(links)):
            yield os.path.relpath(os.path.join(parent, name), folder), True


def _is_as_listed(path: Path, entry: str) -> bool:
    if entry.startswith(LINK):
        return path.is_symlink() and os.readlink(path) == entry.removeprefix(LINK)
    return path.is_file() and not path.is_symlink() and sha256(path) == entry
