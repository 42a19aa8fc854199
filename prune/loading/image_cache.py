"""The decoded images of a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from prune.errors import DataError
from prune.loading.image_file import StoredImages, digest_of, open_images, write_images
from prune.samples.fit import fit_for, resize, size_of
from prune.samples.images import Image, decode_fault, read_image
from prune.samples.issues import Issues
from prune.samples.sample import Sample, SampleSet

Wh = tuple[int, int]
Samples = SampleSet | Sequence[Sample]
DECODED_AT_ONCE = 256
"""How many images are decoded before they are written to a file."""


class DecodedImages:
    """The pixels of a list of images; it records which cannot be decoded (also across worker processes).

    With `fit_wh` an image that is larger than it would be in a network input of that size (`letterbox` or not) is first
    shrunk to it, so that the same pixels come from a cache and from the image's file. `cache`: True: each is kept in
    memory; a path: all are kept in that file. `channels`: of the network, 3 (RGB) or 1 (grayscale).
    """

    def __init__(
        self,
        samples: Samples,
        letterbox: bool,
        fit_wh: Wh | None = None,
        channels: int = 3,
        cache: bool | Path = False,
    ) -> None:
        listed = samples.samples if isinstance(samples, SampleSet) else samples
        self.samples: tuple[Sample, ...] = tuple(listed)
        if not self.samples:
            raise DataError("<samples>", None, "no image in the dataset; check its image list")
        self._letterbox, self._fit_wh, self._channels, self._kept = letterbox, fit_wh, channels, cache
        self._cache: list[Image | None] | StoredImages | None = None
        self._bad = torch.zeros(len(self.samples), dtype=torch.uint8)
        self._bad.share_memory_()  # type: ignore[no-untyped-call]

    def __getitem__(self, index: int) -> Image | None:
        """(H, W, 3) uint8 RGB or (H, W) grayscale; None, and recorded, where it cannot be decoded."""
        image = self._decode(index) if self._kept is False else self._filled()[index]
        if image is None:
            self._bad[index] = 1
        return image

    @property
    def faults(self) -> Issues:
        """The images tried so far that cannot be decoded."""
        faults = Issues()
        for index in self._bad.nonzero().flatten().tolist():
            image = self.samples[index].image
            faults.add(decode_fault(image), image)
        return faults

    def fill(self) -> None:
        """Decodes all images into the cache, if there is one; before workers start, so that they
        share it. Raises DataError where its file is another one."""
        if self._kept is not False:
            self._filled()

    def _filled(self) -> list[Image | None] | StoredImages:
        if self._cache is None:
            self._cache = self._stored(self._kept) if isinstance(self._kept, Path) else list(self._decoded())
        return self._cache

    def _stored(self, path: Path) -> StoredImages:
        digest = digest_of(self.samples, (self._fit_wh, self._letterbox, self._channels))
        found = open_images(path, digest)
        if found is None:
            write_images(path, digest, self._decoded())
            found = open_images(path, digest)
        if found is None:
            raise DataError(path, None, "changed while it was written: is another run using this --out?")
        return found

    def _decoded(self) -> Iterator[Image | None]:
        """All images in their order; only some are decoded in advance."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for start in range(0, len(self.samples), DECODED_AT_ONCE):
                yield from pool.map(self._decode, range(start, min(start + DECODED_AT_ONCE, len(self.samples))))

    def _decode(self, index: int) -> Image | None:
        sample = self.samples[index]
        image = read_image(sample.image, sample.size_wh, channels=self._channels)
        if image is None or self._fit_wh is None:
            return image
        return resize(image, shrunk_size(size_of(image), self._fit_wh, self._letterbox))


def shrunk_size(image_wh: Wh, fit_wh: Wh, letterbox: bool) -> Wh:
    """The size of an image that is fitted into `fit_wh`, but never enlarged."""
    width, height = fit_for(image_wh, fit_wh, letterbox).size_wh
    return min(width, image_wh[0]), min(height, image_wh[1])


def bytes_of(samples: Sequence[Sample], fit_wh: Wh, letterbox: bool, channels: int) -> int:
    """How large the images of `samples` are once they are decoded and shrunk; at most, if their sizes are unknown."""
    sizes = (shrunk_size(sample.size_wh, fit_wh, letterbox) if sample.size_wh else fit_wh for sample in samples)
    return channels * sum(width * height for width, height in sizes)
