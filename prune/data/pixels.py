"""Reads the pixels of every image: whether they are complete, and which images are the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from prune.samples.images import orientation, read_image

_JPEG, _STANDALONE = b"\xff\xd8", (0x01, *range(0xD0, 0xD8))
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


@dataclass(frozen=True, slots=True)
class ImageProbe:
    """The content of an image file. `size_wh` in pixels as stored, None where it cannot be decoded; `pixels`: a digest,
    equal for images of equal pixels; `cut_off`: its end is missing, and decoders invent the rest; `orientation`: its
    camera's flag, 1 for an image that viewers show as it is stored."""

    size_wh: tuple[int, int] | None = None
    pixels: bytes = b""
    cut_off: bool = False
    orientation: int = 1


def probe_image(path: Path) -> ImageProbe:
    """Reads and decodes one image."""
    image = read_image(path)
    if image is None:
        return ImageProbe()
    size = image.shape[1], image.shape[0]
    digest = hashlib.blake2b(repr(size).encode() + image.tobytes(), digest_size=16).digest()
    data = path.read_bytes()
    return ImageProbe(size, digest, _cut_off(data), orientation(data))


def probe_images(paths: Iterable[Path], progress: bool) -> dict[Path, ImageProbe]:
    """`probe_image` of each path, several at a time (decoding releases Python's lock)."""
    unique = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        probes = pool.map(probe_image, unique)
        bar = tqdm(probes, total=len(unique), desc="images", leave=False, disable=None if progress else True)
        return dict(zip(unique, bar, strict=True))


def _cut_off(data: bytes) -> bool:
    """A JPEG's scans are followed by an end marker, a PNG ends with its IEND chunk. What follows that (e.g. a
    phone's motion picture) does not matter."""
    if data.startswith(_JPEG):
        return not _jpeg_ends(data)
    return data.startswith(_PNG) and _PNG_END not in data


def _jpeg_ends(data: bytes) -> bool:
    """Whether the segments lead to an end marker (ITU-T T.81, B.1.1: most have their length after the marker; within
    the coded data of a scan, 0xFF is followed by 0 or by a restart marker)."""
    at = 2
    while 0 <= at < len(data) - 1:
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, 0xFF, *_STANDALONE):  # coded data, padding, restarts
            at = data.find(b"\xff", at + 1)
        elif marker == 0xD9:
            return True
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False
