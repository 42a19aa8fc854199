"""The files that `--source` names: images, folders, globs, videos, text lists."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prune.errors import DataError, UsageError
from prune.files.paths import expand_user, find_path
from prune.samples.image_list import list_lines
from prune.samples.images import SUFFIXES, is_image_name
from prune.samples.issues import Issues

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".gif")
LIST_SUFFIXES = (".txt", ".list")
OWN_FOLDERS = ("labels/", "crops/")
"""Folders beside the pictures with other contents: no picture's key may lie in them."""


@dataclass(frozen=True, slots=True)
class Source:
    """An image or a video. `key`: its name within a run, unique without a suffix, with `/` between folders."""

    path: Path
    key: str
    video: bool

    @property
    def picture_name(self) -> str:
        """The name of its annotated copy, in a format that every viewer reads."""
        ending = ".mp4" if self.video else ".jpg" if self.path.suffix.lower() in (".jpg", ".jpeg") else ".png"
        return self.key if self.key.lower().endswith(ending) else self.key + ending

    @property
    def names(self) -> set[str]:
        """The names that no other source of a run may have, on file systems with and without regard to case."""
        return {self.key.casefold(), self.picture_name.casefold()}


def is_video_name(name: str) -> bool:
    """True for a name with a video's suffix, in any case."""
    return name.lower().endswith(VIDEO_SUFFIXES)


def find_sources(given: Sequence[str], faults: Issues, leave_out: Path | None = None) -> tuple[Source, ...]:
    """Every image and video that `given` names, each once, folder contents sorted by name.

    A folder is searched with all its subfolders, except hidden names and the folder `leave_out` (the results of
    an earlier run). The lines of a text list are tried in the working directory, then beside the list;
    missing ones are counted in `faults`. Raises UsageError or DataError for a name that leads to nothing.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for name in given:
        for root, path in _expand(name, faults, leave_out):
            found.setdefault(path.resolve(), (root, path))
    return _keyed(list(found.values()))


def _expand(name: str, faults: Issues, leave_out: Path | None) -> list[tuple[Path, Path]]:
    """(root, file) of each file that one argument names; its key is relative to `root`."""
    path = expand_user(name)
    if os.path.isdir(path):
        return [(path, file) for file in _in_folder(path, leave_out)]
    if os.path.exists(path):
        if path.suffix.lower() in LIST_SUFFIXES:
            return [(file.parent, file) for file in _in_list(path, faults)]
        return [(path.parent, _known(path))]
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))] if glob.has_magic(name) else []
    files = [match for match in matches if match.is_file() and _is_shown(match)]
    if not files:
        what = "matches no image and no video" if glob.has_magic(name) else "no such file, folder or glob"
        raise UsageError(f"--source {name}: {what}; check the path")
    return [(file.parent, file) for file in files]


def _in_folder(folder: Path, leave_out: Path | None) -> list[Path]:
    own = leave_out.resolve() if leave_out else None
    files = []
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        ours = own is not None and own != folder.resolve() and own in file.resolve().parents
        if not hidden and not ours and _is_shown(file) and file.is_file():
            files.append(file)
    if not files:
        raise DataError(folder, None, "contains no image and no video; check the folder")
    return files


def _in_list(path: Path, faults: Issues) -> list[Path]:
    files = []
    for number, line in list_lines(path):
        file = find_path(line, (Path(), path.parent), os.path.isfile)
        if file is None:
            faults.add("listed file does not exist, skipped", f"{path}:{number}")
        elif not _is_shown(file):
            faults.add("listed file is neither an image nor a video, skipped", f"{path}:{number}")
        else:
            files.append(file)
    if not files:
        raise DataError(path, None, "names no image and no video that exists; write one path per line")
    return files


def _known(path: Path) -> Path:
    if not os.path.isfile(path):
        raise UsageError(f"--source {path}: is a pipe or a device, not a file; give a file")
    if not _is_shown(path):
        kinds = ", ".join(suffix[1:] for suffix in (*SUFFIXES, *VIDEO_SUFFIXES))
        raise UsageError(
            f"--source {path}: is neither an image or a video ({kinds}) nor a text list (.txt); convert it"
        )
    return path


def _is_shown(path: Path) -> bool:
    return is_image_name(path.name) or is_video_name(path.name)


def _keyed(files: Sequence[tuple[Path, Path]]) -> tuple[Source, ...]:
    """Sources of (root, file) pairs, each with a unique key: its name relative to its root, or if two are the same,
    to what the roots have in common; files that differ only in their suffix keep it."""
    names = [_below(path, root) for root, path in files]
    if len({name.as_posix().casefold() for name in names}) < len(names):
        common = Path(os.path.commonpath([os.path.abspath(root) for root, _ in files]))
        names = [_below(path, common) for _, path in files]
    counts = Counter(name.with_suffix("").as_posix().casefold() for name in names)
    used: set[str] = set()
    sources = []
    for (_, path), name in zip(files, names, strict=True):
        bare = name.with_suffix("").as_posix()
        key = bare if counts[bare.casefold()] == 1 else name.as_posix()
        source = Source(path, key, is_video_name(path.name))
        while used & source.names or source.key.startswith(OWN_FOLDERS):
            source = replace(source, key=f"_{source.key}")
        used |= source.names
        sources.append(source)
    return tuple(sources)


def _below(path: Path, root: Path) -> Path:
    return Path(os.path.relpath(os.path.abspath(path), os.path.abspath(root)))
