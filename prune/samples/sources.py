"""What `--source` names: images, folders, globs, videos, text lists; and the frames in them."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from prune.errors import DataError, UsageError
from prune.files.paths import expand_user, find_path
from prune.samples.faults import Faults
from prune.samples.image_list import list_lines
from prune.samples.images import SUFFIXES, Image, decode_fault, is_image_name, orientation, read_image

# FFmpeg writes faults to standard error by itself, unless told so before its first use; ours are counted and said once.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".gif")
LIST_SUFFIXES = (".txt", ".list")
DEFAULT_FPS = 25.0
OWN_FOLDERS = ("labels/", "crops/")
"""Folders beside the pictures that hold something else, so that no picture's key may lie in them."""


@dataclass(frozen=True, slots=True)
class Source:
    """An image or a video. `key`: its name among all of a run, unique without a suffix, with `/` between folders."""

    path: Path
    key: str
    video: bool

    @property
    def picture_name(self) -> str:
        """What its annotated copy is called, in the formats that every viewer reads."""
        ending = ".mp4" if self.video else ".jpg" if self.path.suffix.lower() in (".jpg", ".jpeg") else ".png"
        return self.key if self.key.lower().endswith(ending) else self.key + ending

    @property
    def names(self) -> set[str]:
        """What no other source of a run may be called, on file systems that tell letters' cases apart or do not."""
        return {self.key.casefold(), self.picture_name.casefold()}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture to look at: RGB uint8 (H, W, 3). `number`: which frame of a video, from 0; None for an image."""

    source: Source
    image: Image
    number: int | None = None

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def pixels(self, channels: int) -> Image:
        """What a network of 3 or 1 `channels` takes: (H, W, 3) `image`, or (H, W) its grayscale. That of a file is
        read as for training and evaluation: of a JPEG it is not quite what its colours convert to."""
        if channels == 3:
            return self.image
        read = read_image(self.source.path, upright=True, channels=channels) if self.number is None else None
        return read if read is not None else np.asarray(cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY), np.uint8)


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Frames a second and how many frames the container speaks of (0: it does not say)."""

    fps: float
    frames: int


def is_video_name(name: str) -> bool:
    """True for a name with a video's suffix, in any case."""
    return name.lower().endswith(VIDEO_SUFFIXES)


def find_sources(given: Sequence[str], faults: Faults, leave_out: Path | None = None) -> tuple[Source, ...]:
    """Every image and video that `given` names, each once, folder contents sorted by name.

    A folder is searched with all below it, hidden names and what lies in the folder `leave_out` (the results of
    an earlier run) apart. The lines of a text list are tried in the working directory, then beside the list;
    missing ones are counted in `faults`. Raises UsageError or DataError for a name that leads to nothing.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for name in given:
        for root, path in _expand(name, faults, leave_out):
            found.setdefault(path.resolve(), (root, path))
    return _keyed(list(found.values()))


def read_frames(sources: Sequence[Source], faults: Faults, progress: bool = False) -> Iterator[Frame]:
    """The images and the frames of the videos one after the other, upright. What does not decode is skipped and
    counted in `faults`, as is a video that ends early. Raises DataError at the end where nothing decoded.

    With `progress` one bar for all of them goes to standard error, if that is a terminal.
    """
    decoded = 0
    bar = tqdm(total=count_frames(sources) if progress else None, unit="image", disable=None if progress else True)
    with bar:
        for source in sources:
            for frame in _read_video(source, faults) if source.video else _read_image(source, faults):
                yield frame
                decoded += 1
                bar.update()
    if not decoded:
        rest = f", nor does any other of {len(sources)}" if len(sources) > 1 else ""
        why = "; ".join(faults.lines())
        raise DataError(sources[0].path, None, f"does not decode{rest} ({why}); copy or encode it anew")


def video_facts(path: Path) -> VideoFacts | None:
    """What the container says of itself; None where it does not open."""
    capture = cv2.VideoCapture(str(path))
    try:
        return _facts(capture) if capture.isOpened() else None
    finally:
        capture.release()


def count_frames(sources: Iterable[Source]) -> int:
    """How many frames `read_frames` will give, as far as can be told beforehand."""
    known = (video_facts(source.path) if source.video else VideoFacts(0, 1) for source in sources)
    return sum(facts.frames for facts in known if facts)


def _read_image(source: Source, faults: Faults) -> Iterator[Frame]:
    image = read_image(source.path, upright=True)
    if image is None:
        faults.add(decode_fault(source.path, "image does not decode, skipped"), source.path)
        return
    if orientation(source.path.read_bytes()) != 1:
        faults.add("image turned as its camera's flag says; boxes are those of the turned picture", source.path)
    yield Frame(source, image)


def _read_video(source: Source, faults: Faults) -> Iterator[Frame]:
    capture = cv2.VideoCapture(str(source.path))
    if not capture.isOpened():
        capture.release()
        faults.add("video does not open, skipped; check the file and its codec", source.path)
        return
    number = 0
    try:
        while (image := _next_image(capture)) is not None:
            yield Frame(source, image, number)
            number += 1
        expected = _facts(capture).frames
    finally:
        capture.release()
    if number == 0 or number < expected - max(1, expected // 100):  # some containers only estimate
        told = f"video ends after {number} of {expected} frames, which are kept; copy or encode it anew"
        faults.add(told, source.path)


def _next_image(capture: cv2.VideoCapture) -> Image | None:
    read, image = capture.read()
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8) if read and image is not None else None


def _facts(capture: cv2.VideoCapture) -> VideoFacts:
    fps, frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return VideoFacts(fps if 0 < fps < 1000 else DEFAULT_FPS, int(frames) if 0 < frames < 1e9 else 0)


def _expand(name: str, faults: Faults, leave_out: Path | None) -> list[tuple[Path, Path]]:
    """(root, file) of each file that one argument means; `root` is what its key will leave out."""
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
        raise DataError(folder, None, "holds no image and no video; check the folder")
    return files


def _in_list(path: Path, faults: Faults) -> list[Path]:
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
        raise DataError(path, None, "names no image and no video that exists; write one path a line")
    return files


def _known(path: Path) -> Path:
    if not os.path.isfile(path):
        raise UsageError(f"--source {path}: is a pipe or a device, not a file; give a file")
    if not _is_shown(path):
        kinds = ", ".join(suffix[1:] for suffix in (*SUFFIXES, *VIDEO_SUFFIXES))
        raise UsageError(f"--source {path}: is no image, no video ({kinds}) and no text list (.txt); convert it")
    return path


def _is_shown(path: Path) -> bool:
    return is_image_name(path.name) or is_video_name(path.name)


def _keyed(files: Sequence[tuple[Path, Path]]) -> tuple[Source, ...]:
    """Sources of (root, file) pairs, each with a key of its own: its name below its root, or if two have the same,
    below what the roots have in common; files that differ in their suffix alone keep it."""
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
