"""Statistics of a split: counts and sizes of images and objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.samples.boxes import area
from prune.samples.sample import Sample

SMALL, LARGE = 32.0**2, 96.0**2
"""COCO's bounds of small, medium and large objects, in pixels² of the image (cocodataset.org, "Detection
evaluation")."""

Wh = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """One split. `class_objects`, `class_images` (C,): objects and images of each class. `small`, `medium`, `large`:
    objects by COCO's areas. Sizes in pixels; `per_image` and the sizes are (least, median, greatest)."""

    images: int
    empty: int
    objects: int
    difficult: int
    crowd: int
    small: int
    medium: int
    large: int
    per_image: tuple[int, int, int]
    width: tuple[int, int, int]
    height: tuple[int, int, int]
    class_objects: tuple[int, ...]
    class_images: tuple[int, ...]

    def facts(self) -> dict[str, Any]:
        """The fields of summary.json."""
        return asdict(self)


def split_statistics(samples: Sequence[Sample], sizes: Sequence[Wh], classes: int) -> SplitStatistics:
    """The statistics of samples whose images are of `sizes` (w, h) in pixels."""
    counts = np.array([len(sample.classes) for sample in samples], np.int64)
    areas = _joined([area(sample.pixel_edges(size)) for sample, size in zip(samples, sizes, strict=True)])
    objects = np.zeros(classes, np.int64)
    images = np.zeros(classes, np.int64)
    for sample in samples:
        found = np.bincount(sample.classes, minlength=classes)
        objects += found
        images += found > 0
    small, large = int((areas < SMALL).sum()), int((areas > LARGE).sum())
    return SplitStatistics(
        images=len(samples),
        empty=int((counts == 0).sum()),
        objects=int(counts.sum()),
        difficult=sum(int(sample.difficult.sum()) for sample in samples),
        crowd=sum(int(sample.crowd.sum()) for sample in samples),
        small=small,
        medium=len(areas) - small - large,
        large=large,
        per_image=_spread(counts),
        width=_spread(np.array([width for width, _ in sizes])),
        height=_spread(np.array([height for _, height in sizes])),
        class_objects=tuple(objects.tolist()),
        class_images=tuple(images.tolist()),
    )


def _joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(parts) if parts else np.zeros(0)


def _spread(values: NDArray[np.int64]) -> tuple[int, int, int]:
    if not len(values):
        return 0, 0, 0
    return int(values.min()), int(np.median(values)), int(values.max())
