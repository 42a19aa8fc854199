"""The images with the most mistakes, and the reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prune.metrics.detections import Detected
from prune.metrics.matching import IGNORED

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class WorstImage:
    """An image, the detections reported in it, `found` (n, 6) as in `Detected`, of which `right` (n,) are true
    positives, and the objects that count: `boxes` (m, 4) edges in pixels, `classes` (m,), of which `missed` (m,) were
    not found."""

    image: Path
    image_id: int | str
    size_wh: tuple[int, int]
    found: Floats
    right: Bools
    boxes: Floats
    classes: Ints
    missed: Bools
    reason: str

    @property
    def mistakes(self) -> int:
        """Missed objects and false positives together."""
        return int(self.missed.sum()) + int((~self.right).sum())


def worst_images(
    detected: Sequence[Detected], matches: Sequence[Ints], ignored: Sequence[Bools], conf: float, limit: int = 20
) -> list[WorstImage]:
    """The images with most mistakes at a confidence, worst first; those without any are left out.

    matches: for each image the object of each detection (`matching`); ignored: its objects that do not count.
    """
    compared = [_compared(*image, conf) for image in zip(detected, matches, ignored, strict=True)]
    ranked = sorted((image for image in compared if image.mistakes), key=lambda image: -image.mistakes)
    return ranked[:limit]


def _compared(image: Detected, matches: Ints, ignored: Bools, conf: float) -> WorstImage:
    reported = (image.found[:, 4] >= conf) & (matches != IGNORED)
    matches = matches[reported]
    missed = ~ignored
    missed[matches[matches >= 0]] = False
    right, objects = matches >= 0, ~ignored
    sample = image.sample
    return WorstImage(
        sample.image,
        sample.image_id,
        image.size_wh,
        image.found[reported],
        right,
        image.boxes[objects],
        sample.classes[objects],
        missed[objects],
        _reason(int(missed.sum()), int(objects.sum()), int((~right).sum())),
    )


def _reason(missed: int, objects: int, false: int) -> str:
    said = []
    if missed:
        said.append(f"{missed} of {objects} object{'s' * (objects != 1)} missed")
    if false:
        said.append(f"{false} false positive{'s' * (false != 1)}")
    return ", ".join(said)
