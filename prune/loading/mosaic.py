"""Four images around one point (Bochkovskiy et al. 2020, "YOLOv4", section 3.3), each warped once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from prune.loading.augment import Matrix, centre_matrix, keeps_axes, transform_edges, translation
from prune.samples.fit import grey
from prune.samples.images import Image

Wh = tuple[int, int]


def mosaic_corners(rng: Generator, sizes_wh: Sequence[Wh], net_wh: Wh) -> list[Matrix]:
    """The positions of four images of `sizes_wh`: each touches a common random point with one of its corners.

    The point lies within half a network input around the origin; the images lie above left, above right, below
    left and below right of it, so that they never overlap.
    """
    x, y = rng.uniform(-0.5, 0.5, 2) * net_wh
    places = []
    for number, (width, height) in enumerate(sizes_wh):
        left = x - width if number % 2 == 0 else x
        top = y - height if number < 2 else y
        places.append(translation(left, top))
    return places


def compose(images: Sequence[Image], matrices: Sequence[Matrix], net_wh: Wh) -> Image:
    """All images under their matrices (to pixels of the network input) on one grey canvas, (h, w, 3) or (h, w) like
    them."""
    canvas = grey(net_wh, images[0])
    for image, matrix in zip(images, matrices, strict=True):
        _paste(canvas, image, matrix)
    return canvas


def _paste(canvas: Image, image: Image, matrix: Matrix) -> None:
    """Warps the image into the part of the canvas that it covers, in place."""
    upright = keeps_axes(matrix)
    height, width = image.shape[:2]
    edges = transform_edges(np.array(((0.0, 0.0, width, height),)), matrix)[0]
    left, top, right, bottom = _pixels(edges, upright)
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, canvas.shape[1]), min(bottom, canvas.shape[0])
    if right <= left or bottom <= top:
        return
    part = canvas[top:bottom, left:right]
    # Upright pieces fill whole pixels up to their neighbours; rotated ones do not change what they do not cover.
    border = cv2.BORDER_REPLICATE if upright else cv2.BORDER_TRANSPARENT
    placed = centre_matrix(translation(-left, -top) @ matrix)
    size = (right - left, bottom - top)
    warped = cv2.warpAffine(image, placed, size, dst=part, flags=cv2.INTER_LINEAR, borderMode=border)
    if not np.shares_memory(warped, canvas):  # OpenCV may not accept a view as its destination
        part[...] = warped


def _pixels(edges: Matrix, upright: bool) -> tuple[int, int, int, int]:
    """The pixels that a piece with these edges is drawn into: x0, y0, x1, y1, the ends exclusive."""
    low, high = (round, round) if upright else (math.floor, math.ceil)
    return low(edges[0]), low(edges[1]), high(edges[2]), high(edges[3])
