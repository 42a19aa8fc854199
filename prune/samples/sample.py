"""One image with its objects, and a list of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prune.samples.boxes import Boxes, Edges, clip_edges, to_centres, to_edges
from prune.samples.issues import Issues


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An image and its n objects.

    `boxes` (n, 4) float32: cx, cy, w, h as fractions of the image, clipped to it. `classes` (n,) int64.
    `difficult` (VOC) and `crowd` (COCO `iscrowd`) (n,) bool: objects with special rules in the metrics, never
    trained on. `edges_xyxy` (n, 4) float64: the boxes in pixels exactly as annotated, unclipped, as
    edges counted from 0 (the first pixel reaches from 0 to 1); None where the source only has fractions.
    `areas` (n,) float64: COCO's segment areas in pixels². `places` (n,) int64: position of each (from 0) among
    COCO's annotations in their JSON, or VOC's objects in their XML. `size_wh`: the image's size in pixels where the
    source knows it. `label_boxes` (n, 4) float64: as `boxes`, unclipped, exactly as written in a label file; None
    for other sources. `image_id`: unique in its set.
    """

    image: Path
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    image_id: int | str
    size_wh: tuple[int, int] | None = None
    edges_xyxy: Boxes | None = None
    areas: NDArray[np.float64] | None = None
    places: NDArray[np.int64] | None = None
    label_boxes: Boxes | None = None

    def only(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Sample:
        """The sample with some of its objects: a mask (n,) or their positions, in order."""
        return replace(
            self,
            boxes=self.boxes[kept],
            classes=self.classes[kept],
            difficult=self.difficult[kept],
            crowd=self.crowd[kept],
            edges_xyxy=None if self.edges_xyxy is None else self.edges_xyxy[kept],
            areas=None if self.areas is None else self.areas[kept],
            places=None if self.places is None else self.places[kept],
            label_boxes=None if self.label_boxes is None else self.label_boxes[kept],
        )

    def pixel_edges(self, size_wh: tuple[int, int]) -> Boxes:
        """(n, 4) x0, y0, x1, y1 in pixels of an image of `size_wh`, edges counted from 0."""
        if self.edges_xyxy is not None:
            return self.edges_xyxy
        return np.asarray(to_edges(self.boxes) * np.array((*size_wh, *size_wh), np.float64))

    def unclipped_edges(self, size_wh: tuple[int, int]) -> Boxes:
        """As `pixel_edges`, also where the source has fractions: beyond the image, if the annotation reaches there."""
        if self.label_boxes is None:
            return self.pixel_edges(size_wh)
        return np.asarray(to_edges(self.label_boxes) * np.array((*size_wh, *size_wh), np.float64))

    def pixel_boxes_xyxy(self, size_wh: tuple[int, int]) -> Boxes:
        """(n, 4) xmin, ymin, xmax, ymax as in the VOC devkit: pixels counted from 1, both ends inclusive.

        Pixel k covers [k - 1, k] in edges, so a box of the edges [a, b] is the pixels a + 1 … b.
        """
        return np.asarray(self.pixel_edges(size_wh) + np.array((1.0, 1.0, 0.0, 0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class SampleSet:
    """The images of one split, the class names, what was skipped while reading them (`faults`), and what was read in
    another way than it is written (`remarks`).

    `source`: "list", "coco" or "voc". For COCO, `category_ids` contains the category id of each class (to
    export results) and `annotations` the JSON's path.
    """

    samples: tuple[Sample, ...]
    names: tuple[str, ...]
    source: str = "list"
    faults: Issues = field(default_factory=Issues)
    category_ids: tuple[int, ...] | None = None
    annotations: Path | None = None
    remarks: Issues = field(default_factory=Issues)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def trainable(self) -> int:
        """How many objects are neither difficult nor crowds."""
        return sum(int((~(sample.difficult | sample.crowd)).sum()) for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object as a source describes it: `edges_xyxy` in pixels, edges counted from 0."""

    class_id: int
    edges_xyxy: Edges
    difficult: bool = False
    crowd: bool = False
    area: float = 0.0
    place: int = 0


def sample_from_pixels(
    image: Path, image_id: int | str, size_wh: tuple[int, int], objects: Sequence[Annotation]
) -> Sample:
    """A Sample of objects annotated in pixels; each must overlap the image."""
    edges = np.array([o.edges_xyxy for o in objects], np.float64).reshape(-1, 4)
    fractions = clip_edges(edges, size_wh) / np.array((*size_wh, *size_wh), np.float64)
    return Sample(
        image=image,
        boxes=to_centres(fractions).astype(np.float32),
        classes=np.array([o.class_id for o in objects], np.int64),
        difficult=np.array([o.difficult for o in objects], np.bool_),
        crowd=np.array([o.crowd for o in objects], np.bool_),
        image_id=image_id,
        size_wh=size_wh,
        edges_xyxy=edges,
        areas=np.array([o.area for o in objects], np.float64),
        places=np.array([o.place for o in objects], np.int64),
    )


NOTHING_COUNTS = "no image of the valid set has an object that counts, so there is no AP; check its labels"
FRACTIONS = "box lies within the first pixel: is it in fractions of the image? Boxes must be in pixels"
_FIRST_PIXEL = 1.001
_FARTHEST = 2.0**31


def pixel_fault(edges_xyxy: Edges, size_wh: tuple[int, int]) -> str | None:
    """The fault of a box in pixels, in words; None where it has none."""
    x0, y0, x1, y1 = edges_xyxy
    if not np.isfinite(edges_xyxy).all():
        return "box is not finite"
    if x1 <= x0 or y1 <= y0:
        return "box has no area"
    if x1 <= 0 or y1 <= 0 or x0 >= size_wh[0] or y0 >= size_wh[1]:
        return "box lies outside the image"
    if max(map(abs, edges_xyxy)) > _FARTHEST:
        return "box is larger than any image"
    return None


def in_fractions(edges_xyxy: Edges, size_wh: tuple[int, int]) -> bool:
    """Whether a box of an image seems to be in fractions of it, not in pixels: it ends within the first pixel."""
    return max(edges_xyxy[2:]) <= _FIRST_PIXEL and min(size_wh) > 2
