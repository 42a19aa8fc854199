"""The decoded images of a dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from prune.errors import DataError
from prune.samples.fit import fit_for, resize, size_of
from prune.samples.images import Image, decode_fault, read_image
from prune.samples.issues import Issues
from prune.samples.sample import Sample, SampleSet

Wh = tuple[int, int]
Samples = SampleSet | Sequence[Sample]


class DecodedImages:
    """The pixels of a list of images; it records which cannot be decoded (also across worker processes).

    With `cache_wh` each image is kept in memory, already fitted (`letterbox` or not) into that network size.
    `channels`: of the network, 3 (RGB) or 1 (grayscale).
    """

    def __init__(self, samples: Samples, letterbox: bool, cache_wh: Wh | None = None, channels: int = 3) -> None:
        listed = samples.samples if isinstance(samples, SampleSet) else samples
        self.samples: tuple[Sample, ...] = tuple(listed)
        if not self.samples:
            raise DataError("<samples>", None, "no image in the dataset; check its image list")
        self._letterbox, self._cache_wh, self._channels = letterbox, cache_wh, channels
        self._cache: list[Image | None] | None = None
        self._bad = torch.zeros(len(self.samples), dtype=torch.uint8)
        self._bad.share_memory_()  # type: ignore[no-untyped-call]

    def __getitem__(self, index: int) -> Image | None:
        """(H, W, 3) uint8 RGB or (H, W) grayscale; None, and recorded, where it cannot be decoded."""
        image = self._filled()[index] if self._cache_wh else self._decode(index)
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
        share it."""
        if self._cache_wh:
            self._filled()

    def _filled(self) -> list[Image | None]:
        if self._cache is None:
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                self._cache = list(pool.map(self._shrink, range(len(self.samples))))
        return self._cache

    def _decode(self, index: int) -> Image | None:
        sample = self.samples[index]
        return read_image(sample.image, sample.size_wh, channels=self._channels)

    def _shrink(self, index: int) -> Image | None:
        image = self._decode(index)
        if image is None or self._cache_wh is None:
            return image
        return resize(image, fit_for(size_of(image), self._cache_wh, self._letterbox).size_wh)
