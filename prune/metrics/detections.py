"""The detections in one image, and its objects, in the terms of each protocol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.metrics.coco import CocoTruth
from prune.metrics.darknet import DarknetTruth
from prune.metrics.voc import VocTruth
from prune.samples.boxes import area
from prune.samples.sample import Sample

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """The detections in one image: (n, 6) x0 y0 x1 y1 in pixels of the image (edges from 0; clipped to it, except under
    Darknet's protocol), score, class from 0; by falling score. `size_wh`: the image's size in pixels."""

    sample: Sample
    size_wh: tuple[int, int]
    found: Floats

    @property
    def boxes(self) -> Floats:
        """(m, 4) edges of the image's objects in pixels."""
        return self.sample.pixel_edges(self.size_wh)

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """(m,) objects that count neither as found nor as missed where a protocol has such: difficult ones, and crowd
        regions, which count as difficult outside COCO's protocol."""
        return self.sample.difficult | self.sample.crowd

    @property
    def areas(self) -> Floats:
        """(m,) areas in pixels²: the segments', else the boxes'."""
        areas, boxes = self.sample.areas, area(self.boxes)
        return boxes if areas is None else np.where(areas > 0, areas, boxes)

    def coco_truth(self) -> CocoTruth:
        """COCO's protocol knows crowd regions, but not difficult objects: these count."""
        return CocoTruth(self.boxes, self.sample.classes, self.sample.crowd, self.areas)

    def voc_truth(self) -> VocTruth:
        """In pixels as the devkit counts them."""
        return VocTruth(devkit_boxes(self.boxes), self.sample.classes, self.ignored)

    def voc_found(self) -> Floats:
        """(n, 6) as `found`, in pixels as the devkit counts them."""
        return np.concatenate((devkit_boxes(self.found[:, :4]), self.found[:, 4:]), axis=1)

    def darknet_truth(self) -> DarknetTruth:
        """Of a list source, `difficult` are the objects of the `difficult=` list. Boxes are not clipped, as in
        Darknet."""
        return DarknetTruth(self.sample.unclipped_edges(self.size_wh), self.sample.classes, self.ignored)


def devkit_boxes(edges: Floats) -> Floats:
    """(n, 4) edges in pixels from 0 → xmin ymin xmax ymax of the VOC devkit, which counts pixels from 1 and
    includes both ends: the edges [a, b] enclose the pixels a + 1 … b."""
    return np.asarray(edges + np.array((1.0, 1.0, 0.0, 0.0)))
