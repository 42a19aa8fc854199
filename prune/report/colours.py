"""One colour per class: the same in every picture and every run, as different from the others as possible."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Red, green, blue, 0 … 255."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

_LEVELS = (0, 36, 73, 109, 146, 182, 219, 255)
_FIRST: Colour = (255, 146, 0)
_LIGHTNESS = (0.45, 0.93)
_CHROMA = 0.07


def class_colour(index: int) -> Colour:
    """The colour of class `index` (from 0). It only depends on `index`; after some 200 classes colours repeat."""
    known = 16
    while known <= index and known < len(_candidates()):
        known *= 2
    colours = _palette(min(known, len(_candidates())))
    return colours[index % len(colours)]


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever has more contrast with `colour` (contrast ratio of WCAG 2.1)."""
    luminance = float(_linear(np.array(colour, np.float64)) @ (0.2126, 0.7152, 0.0722))
    return BLACK if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else WHITE


@lru_cache(maxsize=8)
def _palette(count: int) -> tuple[Colour, ...]:
    """The first `count` colours: each is the candidate farthest from all before it, so that a longer palette
    begins like a shorter one."""
    candidates = _candidates()
    places = _oklab(candidates)
    chosen = [int(np.abs(candidates - np.array(_FIRST)).sum(axis=1).argmin())]
    distance = np.full(len(candidates), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.square(places - places[chosen[-1]]).sum(axis=1))
        chosen.append(int(distance.argmax()))
    return tuple((int(r), int(g), int(b)) for r, g, b in candidates[chosen])


@lru_cache(maxsize=1)
def _candidates() -> NDArray[np.float64]:
    """(n, 3) colours that are neither too dark, too light nor too grey to be visible in a photo."""
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float64)
    lab = _oklab(grid)
    light = (lab[:, 0] >= _LIGHTNESS[0]) & (lab[:, 0] <= _LIGHTNESS[1])
    return np.asarray(grid[light & (np.hypot(lab[:, 1], lab[:, 2]) >= _CHROMA)])


def _linear(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB 0 … 255 → linear light 0 … 1 (IEC 61966-2-1)."""
    share = colours / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _oklab(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) sRGB 0 … 255 → OKLab, in which distances are about as perceived (Ottosson 2020, "A
    perceptual color space for image processing")."""
    to_lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return np.asarray(np.cbrt(_linear(colours) @ to_lms.T) @ to_lab.T)
