"""Darknet's `.data` descriptors and `.names` lists."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prune.darknet.ultralytics import ultralytics_message
from prune.errors import DataError
from prune.files.paths import expand_user, find_path
from prune.files.reading import is_unicode, read_text

logger = logging.getLogger(__name__)

_KEYS = "classes train valid names difficult train_difficult backup eval train_images valid_images"
_DARKNET_KEYS = "results top labels test map leaves tree thresh"  # harmless here, so not worth a warning
KNOWN_KEYS = frozenset(f"{_KEYS} {_DARKNET_KEYS}".split())
_MOST_DIGITS, _LONGEST = 9, 200


@dataclass(frozen=True, slots=True)
class Entry:
    """The value of one key and the line (from 1) it is on."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class DataFile:
    """A dataset as a `.data` file describes it.

    The paths are those of the file, resolved by `locate`, or None where the file does not name them. They need
    not exist (an evaluation does not need the training images): `require` checks that.
    """

    path: Path
    classes: int
    names: tuple[str, ...]
    train: Path | None = None
    valid: Path | None = None
    train_images: Path | None = None
    valid_images: Path | None = None
    difficult: Path | None = None
    train_difficult: Path | None = None
    backup: Path | None = None
    eval: str | None = None
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def require(self, key: str) -> Path:
        """The existing file or folder under `key` (`train`, `valid_images` …).

        Raises DataError with the key's line where it is absent or leads nowhere.
        """
        entry = self.entries.get(key)
        if entry is None:
            raise DataError(self.path, None, f"has no '{key} = ...' line; add one")
        path = locate(entry.value, self.path)
        if not os.path.exists(path):
            raise DataError(self.path, entry.line, missing_message(key, entry.value, self.path))
        return path

    def line_of(self, key: str) -> int | None:
        """The line (from 1) of `key`, None where the file does not contain it."""
        entry = self.entries.get(key)
        return entry.line if entry else None


def read_datafile(path: Path | str) -> DataFile:
    """Reads a `.data` file and the names it points to.

    Lines are `key = value`; blank ones and those that begin with `#` or `;` are skipped; of a duplicate key the first
    is used, as in Darknet. Raises DataError where a line is not of that form (a YAML of Ultralytics is named as such),
    `classes` or `names` is missing or wrong, or the number of names differs from `classes`.
    """
    path = Path(path)
    text = read_text(path, DataError)
    if message := ultralytics_message(text):
        raise DataError(path, None, message)
    entries = parse_entries(text, path)
    classes = _classes(entries, path)
    names = _names(entries, path, classes)
    paths = {key: _optional_path(entries, key, path) for key in _PATH_KEYS}
    evaluation = entries["eval"].value if "eval" in entries else None
    return DataFile(path, classes, names, **paths, eval=evaluation, entries=entries)


_PATH_KEYS = ("train", "valid", "train_images", "valid_images", "difficult", "train_difficult", "backup")


def parse_entries(text: str, path: Path) -> dict[str, Entry]:
    """The `key = value` lines of a descriptor, in their order; raises DataError on any other line."""
    entries: dict[str, Entry] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals or not key or not value:
            hint = "give a .data file that names this one" if stripped[0] in "{[" else "correct or remove the line"
            raise DataError(path, number, f"'{stripped[:60]}' is not 'key = value'; {hint}")
        _add_entry(entries, key, Entry(value, number), path)
    return entries


def _add_entry(entries: dict[str, Entry], key: str, entry: Entry, path: Path) -> None:
    if key in entries:
        first = entries[key].line
        logger.warning("%s:%d: duplicate key '%s'; line %d is used", path, entry.line, key, first)
        return
    if key not in KNOWN_KEYS:
        logger.warning("%s:%d: unknown key '%s' is ignored", path, entry.line, key)
    entries[key] = entry


def locate(value: str, data_path: Path) -> Path:
    """The path that `value` means: relative to the working directory where it exists there (as in
    Darknet), else relative to the descriptor's own folder where it exists there, else as given. A path written on
    Windows (`data\\my.names`) is understood."""
    return find_path(value, (Path(), data_path.parent)) or expand_user(value)


def missing_message(key: str, value: str, data_path: Path) -> str:
    """The message for a `value` that is found in neither place."""
    shown = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    correct = "correct the path" if is_unicode(value) else "correct the path, or save the file as UTF-8"
    if expand_user(value).is_absolute():
        return f"{key}: '{shown}' does not exist; {correct}"
    folder = data_path.parent
    return f"{key}: '{shown}' is neither in the working directory nor in {folder}; {correct}"


def read_names(path: Path | str) -> tuple[str, ...]:
    """Class names, one per line. Blank lines at the end are dropped; raises DataError for one in between
    (Darknet would count it as a class), for a duplicate name and for an empty file."""
    path = Path(path)
    text = read_text(path, DataError).removeprefix("\ufeff")
    names = [line.strip() for line in text.rstrip().splitlines()]
    if not names:
        raise DataError(path, None, "contains no class name; write one per line")
    lines: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(path, number, "is blank, and Darknet would count it as a class; remove the line")
        if lines.setdefault(name, number) != number:
            raise DataError(path, number, f"'{name}' is also on line {lines[name]}; give each class its own name")
        if not is_unicode(name):
            raise DataError(path, number, "is not in UTF-8; save the file in that encoding")
    return tuple(names)


def _classes(entries: Mapping[str, Entry], path: Path) -> int:
    entry = entries.get("classes")
    if entry is None:
        raise DataError(path, None, "has no 'classes = N' line; add one")
    digits = entry.value
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS and int(digits) >= 1):
        shown = digits if len(digits) <= 20 else f"{digits[:20]}…"
        raise DataError(
            path, entry.line, f"classes = '{shown}' must be a whole number from 1 to {10**_MOST_DIGITS - 1}"
        )
    return int(digits)


def _names(entries: Mapping[str, Entry], path: Path, classes: int) -> tuple[str, ...]:
    entry = entries.get("names")
    if entry is None:
        raise DataError(path, None, "has no 'names = FILE' line; add one")
    names_path = locate(entry.value, path)
    if os.path.isdir(names_path) or not os.path.exists(names_path):
        raise DataError(path, entry.line, missing_message("names", entry.value, path))
    names = read_names(names_path)
    if len(names) != classes:
        line = entries["classes"].line
        found = f"but {names_path} contains {len(names)} names"
        raise DataError(path, line, f"classes = {classes} {found}; make them agree")
    return names


def _optional_path(entries: Mapping[str, Entry], key: str, path: Path) -> Path | None:
    return locate(entries[key].value, path) if key in entries else None
