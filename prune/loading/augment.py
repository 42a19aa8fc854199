"""Random augmentation of a training image and its boxes.

All geometry is in edges: the first pixel reaches from 0 to 1. A transform is a 3 × 3 matrix on (x, y, 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from prune.samples.boxes import Boxes, area, clip_edges
from prune.samples.fit import FILL
from prune.samples.images import Image
from prune.settings import FRACTION, NOT_NEGATIVE, Interval, check_options, option

Matrix = NDArray[np.float64]


def _change(default: float, text: str, within: Interval = FRACTION) -> float:
    """A field with a flag."""
    return option(default, text, metavar="X", within=within)


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How much a training image may change.

    `hue`, `saturation`, `value`: largest relative change of each, in [0, 1]. `flip_lr`, `flip_ud`, `mosaic`:
    probabilities. `degrees`, `shear`: largest angles in degrees. `translate`: largest shift as a fraction of
    the network input. `scale`: the size is multiplied by 1 ± this, in [0, 1). `min_visible`: a box is
    dropped where less than this fraction of its area remains in the input; `min_pixels`: or where a side
    gets shorter. Raises UsageError for a value out of range.
    """

    hue: float = _change(0.015, "largest relative change of hue, in [0, 1]")
    saturation: float = _change(0.7, "largest relative change of saturation, in [0, 1]")
    value: float = _change(0.4, "largest relative change of brightness, in [0, 1]")
    flip_lr: float = _change(0.5, "probability of a flip left to right")
    flip_ud: float = _change(0.0, "probability of a flip upside down")
    degrees: float = _change(0.0, "largest rotation in degrees", Interval(0, 180))
    translate: float = _change(0.1, "largest shift, as a fraction of the input")
    scale: float = _change(0.5, "the size is multiplied by 1 ± this, in [0, 1)", Interval(0, 0.99))
    shear: float = _change(0.0, "largest shear in degrees", Interval(0, 60))
    mosaic: float = _change(1.0, "probability of a mosaic of four images")
    min_visible: float = _change(0.1, "drop a box if less than this fraction of its area remains")
    min_pixels: float = _change(2.0, "drop a box if a side gets shorter than this, in pixels", NOT_NEGATIVE)

    def __post_init__(self) -> None:
        check_options(self)

    @classmethod
    def none(cls) -> AugmentSettings:
        """No change: images are fitted as in evaluation."""
        unchanged = {entry.name: 0.0 for entry in fields(cls) if not entry.name.startswith("min_")}
        return cls(**unchanged)


def translation(x: float, y: float) -> Matrix:
    """Shifts by (x, y)."""
    return np.array(((1.0, 0.0, x), (0.0, 1.0, y), (0.0, 0.0, 1.0)))


def scaling(x: float, y: float) -> Matrix:
    """Multiplies the coordinates by (x, y)."""
    return np.diag((x, y, 1.0))


def random_affine(rng: Generator, settings: AugmentSettings, net_wh: tuple[int, int]) -> Matrix:
    """A random scaling, rotation and shear about the origin, flips, then a shift; the identity for no change.

    The caller moves the fixed point (the centre) to the origin before, and back after.
    """
    angle = math.radians(rng.uniform(-settings.degrees, settings.degrees))
    size = 1 + rng.uniform(-settings.scale, settings.scale)
    shear_x, shear_y = (math.tan(math.radians(a)) for a in rng.uniform(-settings.shear, settings.shear, 2))
    shift = rng.uniform(-settings.translate, settings.translate, 2) * np.array(net_wh)
    flip_x, flip_y = (-1.0 if draw < p else 1.0 for draw, p in zip(rng.random(2), _flips(settings), strict=True))
    cos, sin = size * math.cos(angle), size * math.sin(angle)
    turn = np.array(((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0)))
    slant = np.array(((1.0, shear_x, 0.0), (shear_y, 1.0, 0.0), (0.0, 0.0, 1.0)))
    matrix: Matrix = translation(*shift) @ scaling(flip_x, flip_y) @ slant @ turn
    return matrix


def _flips(settings: AugmentSettings) -> tuple[float, float]:
    return settings.flip_lr, settings.flip_ud


def only_flips(matrix: Matrix) -> bool:
    """True where the matrix neither moves, scales nor turns: a flip or nothing."""
    return bool(np.array_equal(np.abs(matrix), np.eye(3)))


def keeps_axes(matrix: Matrix) -> bool:
    """True where horizontal lines remain horizontal: no rotation, no shear."""
    return bool(matrix[0, 1] == 0 and matrix[1, 0] == 0)


def flip(image: Image, matrix: Matrix) -> Image:
    """The image flipped as an `only_flips` matrix says."""
    if matrix[0, 0] < 0:
        image = image[:, ::-1]
    return image[::-1] if matrix[1, 1] < 0 else image


def centre_matrix(matrix: Matrix) -> Matrix:
    """The same transform for OpenCV, where the centre of the first pixel is at 0 instead of 0.5:
    (2, 3)."""
    shifted: Matrix = translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)
    return shifted[:2]


def warp(image: Image, matrix: Matrix, size_wh: tuple[int, int]) -> Image:
    """The image under `matrix`, (h, w, 3) or (h, w) of `size_wh`: bilinear, the outside filled with grey."""
    grey = (FILL, FILL, FILL)
    warped = cv2.warpAffine(image, centre_matrix(matrix), size_wh, flags=cv2.INTER_LINEAR, borderValue=grey)
    return np.asarray(warped, np.uint8)


def transform_edges(xyxy: Boxes, matrix: Matrix) -> Boxes:
    """(n, 4) edges → the upright boxes around their transformed corners, unclipped."""
    x, y = xyxy[:, (0, 2, 2, 0)], xyxy[:, (1, 1, 3, 3)]
    corners = np.stack((x, y, np.ones_like(x)))
    moved = np.einsum("ij,jnk->ink", matrix[:2], corners)
    low, high = moved.min(axis=2), moved.max(axis=2)
    return np.stack((low[0], low[1], high[0], high[1]), axis=1)


def clip_and_choose(
    xyxy: Boxes, size_wh: tuple[int, int], settings: AugmentSettings
) -> tuple[Boxes, NDArray[np.bool_]]:
    """Clips boxes in pixels to the network input: (n, 4), and (n,) which of them are still visible
    enough to keep."""
    clipped = clip_edges(xyxy, size_wh)
    sides = clipped[:, 2:] - clipped[:, :2]
    visible = area(clipped) >= settings.min_visible * area(xyxy)
    keep = (sides.min(axis=1, initial=math.inf) >= max(settings.min_pixels, 1e-3)) & visible
    return clipped, np.asarray(keep, np.bool_)


def jitter_colours(rng: Generator, image: Image, settings: AugmentSettings) -> Image:
    """Random hue, saturation and brightness of a (H, W, 3) RGB image; of a (H, W) grayscale one only brightness.

    Each channel is multiplied by 1 + u·setting with u uniform in [-1, 1]; hue wraps around, the others saturate. What
    is drawn from `rng` does not depend on the image: a grey RGB image and its grayscale change in the same way.
    """
    gains = 1 + rng.uniform(-1, 1, 3) * (settings.hue, settings.saturation, settings.value)
    if np.array_equal(gains, np.ones(3)):
        return image
    levels = np.arange(256, dtype=np.float64)
    # OpenCV stores hue in half degrees, 0 … 179.
    hue = (np.rint(levels * gains[0]) % 180).astype(np.uint8)
    others = np.rint(np.clip(levels * gains[1:, None], 0, 255)).astype(np.uint8)
    if image.ndim == 2:  # as AlexeyAB's Darknet: only the factor of brightness
        return np.asarray(cv2.LUT(np.ascontiguousarray(image), others[1]), np.uint8)
    table = np.stack((hue, *others), axis=1)[None]
    hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV)
    return np.asarray(cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB), np.uint8)
