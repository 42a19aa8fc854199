"""Decoded images in one file, which is mapped into memory: worker processes share it, and so does a resumed run.

The file: MAGIC, the pixels of each image, the index (n, 4) int64 of (offset, height, width, channels; channels 0: (H,
W), height 0: cannot be decoded), n as int64, and the digest (32 bytes) of what the images depend on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from prune.errors import DataError
from prune.files.writing import atomic_file
from prune.samples.images import Image
from prune.samples.sample import Sample

MAGIC = b"darknet-prune images 1\n"
DIGEST_BYTES, COUNT_BYTES, ROW_BYTES = 32, 8, 32


class StoredImages:
    """The images in a file by their number; None for one that cannot be decoded."""

    def __init__(self, path: Path, index: NDArray[np.int64]) -> None:
        self.path, self.index = path, index
        # Copy on write: OpenCV takes no arrays that are read-only, and nothing is written.
        self._pixels = np.memmap(path, np.uint8, "c")

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> Image | None:
        offset, height, width, channels = self.index[number].tolist()
        shape = (height, width, channels) if channels else (height, width)
        size = height * width * max(channels, 1)
        return np.asarray(self._pixels[offset : offset + size].reshape(shape), np.uint8) if height else None

    def __reduce__(self) -> tuple[type[StoredImages], tuple[Path, NDArray[np.int64]]]:
        """A worker process maps the file itself instead of receiving its content."""
        return StoredImages, (self.path, self.index)


def open_images(path: Path, digest: bytes) -> StoredImages | None:
    """The images in a file; None if there is none, or its images depend on something else than `digest` says.

    Raises DataError for a file that is none of these, which must not be replaced.
    """
    if not path.exists():
        return None
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise DataError(path, None, "is not a cache of images; remove it, or choose another --out")
        end = file.seek(0, os.SEEK_END) - DIGEST_BYTES - COUNT_BYTES
        file.seek(max(end, 0))
        count, found = int.from_bytes(file.read(COUNT_BYTES), "little"), file.read()
        start = end - count * ROW_BYTES
        if found != digest or start < len(MAGIC):
            return None
        file.seek(start)
        index = np.frombuffer(file.read(count * ROW_BYTES), "<i8").astype(np.int64).reshape(count, 4)
    return StoredImages(path, index)


def write_images(path: Path, digest: bytes, images: Iterable[Image | None]) -> None:
    """Write the images, completely or not at all."""
    rows: list[tuple[int, int, int, int]] = []
    with atomic_file(path) as file:
        file.write(MAGIC)
        offset = len(MAGIC)
        for image in images:
            height, width, channels = (0, 0, 0) if image is None else (*image.shape, 0)[:3]
            rows.append((offset, height, width, channels))
            if image is not None:
                offset += file.write(np.ascontiguousarray(image).data)
        file.write(np.array(rows, "<i8").tobytes() + len(rows).to_bytes(COUNT_BYTES, "little") + digest)


def digest_of(samples: Iterable[Sample], settings: object) -> bytes:
    """The digest of all that decoded images depend on: `settings`, OpenCV, and path, size and time of each file."""
    state = hashlib.sha256(repr((settings, cv2.__version__)).encode())
    for sample in samples:
        try:
            about = sample.image.stat()
            version = about.st_size, about.st_mtime_ns
        except OSError:
            version = -1, -1
        state.update(repr((str(sample.image.absolute()), version, sample.size_wh)).encode("utf-8", "surrogateescape"))
    return state.digest()
