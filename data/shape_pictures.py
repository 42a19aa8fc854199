"""Draw the pictures of the demo dataset: shapes on a textured background, and their boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

NAMES = ("circle", "rectangle", "triangle")
SUPERSAMPLING = 4  # shapes are drawn this much larger and averaged: smooth borders at sub-pixel places
MIN_VISIBLE = 0.75  # of a shape's area; less would make the class a guess

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Picture:
    """An image and its shapes.

    `image` (size, size, 3) uint8 BGR; `boxes` (n, 4) float64 xyxy in pixels, right and bottom exclusive;
    `classes` (n,) indices into NAMES.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]


def draw_picture(size: int, rng: np.random.Generator) -> Picture:
    """One image with 1 to 5 shapes; a box is tight around what is visible of its shape."""
    image = _texture(size, rng, _random_color(rng), contrast=rng.uniform(10, 45))
    _draw_scratches(image, rng)
    kinds, masks = _place_shapes(size, rng)
    for mask in masks:
        image = _paint(image, mask, rng)
    visible = [_visible_part(masks, i) for i in range(len(masks))]
    boxes = np.array([_tight_box(part) for part in visible], dtype=np.float64).reshape(-1, 4)
    return Picture(_spoil(image, rng), boxes, np.array(kinds, dtype=np.int64))


def _random_color(rng: np.random.Generator) -> Floats:
    return rng.uniform(30, 225, 3).astype(np.float32)


def _texture(size: int, rng: np.random.Generator, color: Floats, contrast: float) -> Floats:
    """(size, size, 3) float32: `color` plus noise of several scales; `contrast` is its deviation."""
    field = np.zeros((size, size, 3), dtype=np.float32)
    for cells in (2, 4, 9, 20, 45):
        # Half of the noise is grey, half coloured: real surfaces vary more in brightness than in hue.
        noise = rng.normal(0, 1, (cells, cells, 3)) + rng.normal(0, 1, (cells, cells, 1))
        weight = rng.uniform(0.2, 1.0)
        field += weight * cv2.resize(noise.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    field += rng.uniform(0, 1.5) * _stripes(size, rng)[..., None]
    scaled = field * (contrast / max(float(field.std()), 1e-6))
    return np.asarray(color + scaled, dtype=np.float32)


def _stripes(size: int, rng: np.random.Generator) -> Floats:
    """(size, size) waves in [-1, 1] of random direction, length and phase."""
    angle, length, phase = rng.uniform(0, np.pi), rng.uniform(0.05, 0.4) * size, rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    waves = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / length) + phase)
    return np.asarray(waves, dtype=np.float32)


def _draw_scratches(image: Floats, rng: np.random.Generator) -> None:
    """Draw up to six thin lines and arcs into `image`: edges that belong to no shape."""
    size = image.shape[0]
    for _ in range(rng.integers(0, 7)):
        start, end = rng.integers(0, size, (2, 2)).tolist()
        color = _random_color(rng).tolist()
        if rng.random() < 0.5:
            cv2.line(image, start, end, color, 1, cv2.LINE_AA)
        else:
            first = int(rng.integers(0, 360))
            axes = rng.integers(size // 16, size // 4, 2).tolist()
            cv2.ellipse(image, start, axes, 0, first, first + 90, color, 1, cv2.LINE_AA)


def _place_shapes(size: int, rng: np.random.Generator) -> tuple[list[int], list[Floats]]:
    """Classes and coverage masks (size, size) in [0, 1], in painting order: later ones lie on top.

    A position that would hide too much of an earlier shape is drawn again; after some tries the shape is left out.
    The first shape is always placed.
    """
    kinds: list[int] = []
    masks: list[Floats] = []
    for _ in range(rng.integers(1, 6)):
        kind = int(rng.integers(len(NAMES)))
        for _ in range(20):
            candidate = [*masks, _shape_mask(kind, size, rng)]
            if all(_is_visible(candidate, i) for i in range(len(candidate))):
                kinds.append(kind)
                masks = candidate
                break
    return kinds, masks


def _shape_mask(kind: int, size: int, rng: np.random.Generator) -> Floats:
    """(size, size) float32: how much of each pixel a random shape covers; it lies in the image."""
    # Uniform in the logarithm: as many shapes of 15-30 as of 30-60 pixels (at size 160).
    extent = size * np.exp(rng.uniform(np.log(0.11), np.log(0.42)))
    outline = _outline(kind, extent, rng.uniform(0, 2 * np.pi), rng.uniform(0.65, 1.0))
    low, high = outline.min(axis=0), outline.max(axis=0)
    origin = rng.uniform(1 - low, size - 1 - high)
    points = np.rint((outline + origin) * SUPERSAMPLING).astype(np.int32)
    side = size * SUPERSAMPLING
    canvas = np.zeros((side, side), dtype=np.uint8)
    cv2.fillPoly(canvas, [points], (255,))
    covered = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(covered, dtype=np.float32) / np.float32(255)


def _outline(kind: int, extent: float, angle: float, aspect: float) -> NDArray[np.float64]:
    """(n, 2) corner points x, y of a shape about `extent` wide; `aspect` squeezes all but circles."""
    corners = {0: 72, 1: 4, 2: 3}[kind]
    # Equal areas look equally large: a triangle needs a larger circle around it than a circle does.
    radius = extent / 2 * {0: 1.0, 1: 1.2, 2: 1.3}[kind]
    turns = np.arange(corners) * (2 * np.pi / corners) + np.pi / max(corners, 4)
    points = radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    if kind != 0:
        points[:, 1] *= aspect
    cosine, sine = np.cos(angle), np.sin(angle)
    rotated: NDArray[np.float64] = points @ np.array([[cosine, sine], [-sine, cosine]])
    return rotated


def _visible_part(masks: list[Floats], index: int) -> Floats:
    """The coverage of shape `index` that is not hidden by later shapes."""
    part = masks[index].copy()
    for above in masks[index + 1 :]:
        part *= 1 - above
    return part


def _is_visible(masks: list[Floats], index: int) -> bool:
    return float(_visible_part(masks, index).sum()) >= MIN_VISIBLE * float(masks[index].sum())


def _tight_box(part: Floats) -> tuple[int, int, int, int]:
    """xyxy in pixels, right and bottom exclusive, around the pixels that are covered by half or more."""
    rows, columns = np.nonzero(part >= 0.5)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _paint(image: Floats, mask: Floats, rng: np.random.Generator) -> Floats:
    """`image` with the shape in a colour that differs from what lies beneath; sometimes only by a little."""
    beneath = np.average(image.reshape(-1, 3), axis=0, weights=mask.ravel())
    least = rng.choice([45.0, 90.0], p=[0.25, 0.75])
    color = _random_color(rng)
    while np.linalg.norm(color - beneath) < least:
        color = _random_color(rng)
    filling = _texture(image.shape[0], rng, color, contrast=rng.uniform(2, 14))
    return np.asarray(image + mask[..., None] * (filling - image), dtype=np.float32)


def _spoil(image: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What a camera adds: blur in every third image, uneven light, sensor noise."""
    if rng.random() < 0.33:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.3)), dtype=np.float32)
    light = 1 + rng.uniform(-0.2, 0.2) * _stripes(image.shape[0], rng)[..., None]
    noisy = image * light + rng.normal(0, rng.uniform(2, 12), image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
