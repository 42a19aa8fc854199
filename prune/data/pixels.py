"""Looking at the pixels of every image: whether they are all there, and which are the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from prune.detect.images import read_image

_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


@dataclass(frozen=True, slots=True)
class Look:
    """What an image file holds. `size_wh` in pixels as stored, None where it does not decode; `pixels`: equal for
    images of equal pixels; `cut_off`: its end is missing, and decoders make up the rest."""

    size_wh: tuple[int, int] | None = None
    pixels: bytes = b""
    cut_off: bool = False


def look_at(path: Path) -> Look:
    """Reads and decodes one image."""
    image = read_image(path)
    if image is None:
        return Look()
    size = image.shape[1], image.shape[0]
    digest = hashlib.blake2b(repr(size).encode() + image.tobytes(), digest_size=16).digest()
    return Look(size, digest, _cut_off(path.read_bytes()))


def look_at_all(paths: Iterable[Path], progress: bool) -> dict[Path, Look]:
    """`look_at` of each path, several at a time (decoding leaves Python's lock alone)."""
    unique = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        looks = pool.map(look_at, unique)
        bar = tqdm(looks, total=len(unique), desc="images", leave=False, disable=None if progress else True)
        return dict(zip(unique, bar, strict=True))


def _cut_off(data: bytes) -> bool:
    """A JPEG's last scan is followed by an end marker (ITU-T T.81, B.1.1.3: neither occurs within coded data), a PNG
    ends with its IEND chunk."""
    if data.startswith(_JPEG):
        return data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
    return data.startswith(_PNG) and _PNG_END not in data[-1024:]
