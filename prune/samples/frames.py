"""The frames in images and videos, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from prune.errors import DataError
from prune.samples.images import Image, decode_fault, orientation, read_image
from prune.samples.issues import Issues
from prune.samples.sources import Source

# FFmpeg writes errors to standard error unless this is set before its first use; ours are counted and reported once.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

DEFAULT_FPS = 25.0


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image or a frame of a video: RGB uint8 (H, W, 3). `number`: the frame's, from 0; None for an image."""

    source: Source
    image: Image
    number: int | None = None

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def pixels(self, channels: int) -> Image:
        """The input of a network of 3 or 1 `channels`: (H, W, 3) `image`, or (H, W) its grayscale. A file's grayscale
        is read as for training and evaluation: for a JPEG it differs slightly from its converted colours."""
        if channels == 3:
            return self.image
        read = read_image(self.source.path, upright=True, channels=channels) if self.number is None else None
        return read if read is not None else np.asarray(cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY), np.uint8)


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Frames per second, and the number of frames that the container declares (0: none)."""

    fps: float
    frames: int


def read_frames(sources: Sequence[Source], faults: Issues, progress: bool = False) -> Iterator[Frame]:
    """The images and the frames of the videos one after the other, upright. What cannot be decoded is skipped and
    counted in `faults`, and so is a video that ends early. Raises DataError at the end if nothing was decoded.

    With `progress` one bar for all of them is written to standard error, if that is a terminal.
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
        rest = f", nor can any other of {len(sources)}" if len(sources) > 1 else ""
        why = "; ".join(faults.lines())
        raise DataError(sources[0].path, None, f"cannot be decoded{rest} ({why}); copy or encode it again")


def video_facts(path: Path) -> VideoFacts | None:
    """The container's declarations; None where it cannot be opened."""
    capture = cv2.VideoCapture(str(path))
    try:
        return _facts(capture) if capture.isOpened() else None
    finally:
        capture.release()


def count_frames(sources: Iterable[Source]) -> int:
    """How many frames `read_frames` will yield, as far as it is known beforehand."""
    known = (video_facts(source.path) if source.video else VideoFacts(0, 1) for source in sources)
    return sum(facts.frames for facts in known if facts)


def _read_image(source: Source, faults: Issues) -> Iterator[Frame]:
    image = read_image(source.path, upright=True)
    if image is None:
        faults.add(decode_fault(source.path, "image cannot be decoded, skipped"), source.path)
        return
    if orientation(source.path.read_bytes()) != 1:
        faults.add(
            "image rotated by its camera's orientation flag; boxes are those of the rotated picture", source.path
        )
    yield Frame(source, image)


def _read_video(source: Source, faults: Issues) -> Iterator[Frame]:
    capture = cv2.VideoCapture(str(source.path))
    if not capture.isOpened():
        capture.release()
        faults.add("video cannot be opened, skipped; check the file and its codec", source.path)
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
        fault = f"video ends after {number} of {expected} frames, which are kept; copy or encode it again"
        faults.add(fault, source.path)


def _next_image(capture: cv2.VideoCapture) -> Image | None:
    read, image = capture.read()
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8) if read and image is not None else None


def _facts(capture: cv2.VideoCapture) -> VideoFacts:
    fps, frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return VideoFacts(fps if 0 < fps < 1000 else DEFAULT_FPS, int(frames) if 0 < frames < 1e9 else 0)
