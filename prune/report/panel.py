"""Charts drawn with OpenCV: what every installation can draw, without matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from prune.report.colours import BLACK, Colour
from prune.report.draw import blend
from prune.report.text import text_mask
from prune.samples.images import Image

CAPITAL = 11
"""Pixels of a capital letter."""
GREY: Colour = (110, 110, 110)
GRID: Colour = (228, 228, 228)
_DASH = 7
Scale = Callable[[float], float]
"""A value → its place between 0 (left, below) and 1."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale, its name (may be empty), and its ticks: (value, label)."""

    name: str
    scale: Scale
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of a picture with two axes; left, top, right and below are pixels."""

    left: int
    top: int
    right: int
    below: int
    across: Axis
    up: Axis

    def x(self, value: float) -> int:
        """The column of a value, within the panel."""
        return round(self.exact_x(value))

    def y(self, value: float) -> int:
        """The row of a value, within the panel."""
        return round(self.exact_y(value))

    def exact_x(self, value: float) -> float:
        """The same, before it is rounded."""
        return self.left + min(max(self.across.scale(value), 0.0), 1.0) * (self.right - self.left)

    def exact_y(self, value: float) -> float:
        """The same, before it is rounded."""
        return self.below - min(max(self.up.scale(value), 0.0), 1.0) * (self.below - self.top)


def blank(width: int, height: int) -> Image:
    """A white picture."""
    return np.full((height, width, 3), 255, np.uint8)


def write(canvas: Image, words: str, x: float, y: float, *, align: float = 0.0, ink: Colour = BLACK) -> None:
    """Write a line whose middle is at row `y`; `align`: the share of it that is left of `x`. It stays within the
    picture."""
    put(canvas, text_mask(words, CAPITAL), x, y, align, ink)


def put(canvas: Image, mask: Image, x: float, y: float, align: float, ink: Colour) -> None:
    """The same with a mask (h, w) of opacity."""
    mask = mask[: canvas.shape[0], : canvas.shape[1]]
    left = int(min(max(x - align * mask.shape[1], 0), canvas.shape[1] - mask.shape[1]))
    top = int(min(max(y - mask.shape[0] / 2, 0), canvas.shape[0] - mask.shape[0]))
    blend(canvas[top : top + mask.shape[0], left : left + mask.shape[1]], mask, ink)


def fill(canvas: Image, edges: tuple[int, int, int, int], ink: Colour) -> None:
    """A filled rectangle: x0 y0 x1 y1, the last two not included."""
    x0, y0, x1, y1 = edges
    canvas[y0:y1, x0:x1] = ink


def draw_grid(canvas: Image, panel: Panel) -> None:
    """Thin lines at the ticks, to be drawn first."""
    for value, _ in panel.across.ticks:
        cv2.line(canvas, (panel.x(value), panel.top), (panel.x(value), panel.below), GRID)
    for value, _ in panel.up.ticks:
        cv2.line(canvas, (panel.left, panel.y(value)), (panel.right, panel.y(value)), GRID)


def draw_axes(canvas: Image, panel: Panel) -> None:
    """The frame, the labels of the ticks and the names of both axes: below, and upright to the left."""
    cv2.rectangle(canvas, (panel.left, panel.top), (panel.right, panel.below), GREY)
    for value, label in panel.across.ticks:
        cv2.line(canvas, (panel.x(value), panel.below), (panel.x(value), panel.below + 4), GREY)
        write(canvas, label, panel.x(value), panel.below + 1.5 * CAPITAL, align=0.5)
    widest = 0
    for value, label in panel.up.ticks:
        cv2.line(canvas, (panel.left - 4, panel.y(value)), (panel.left, panel.y(value)), GREY)
        write(canvas, label, panel.left - 8, panel.y(value), align=1.0)
        widest = max(widest, text_mask(label, CAPITAL).shape[1])
    if panel.across.name:
        write(canvas, panel.across.name, (panel.left + panel.right) / 2, panel.below + 3.4 * CAPITAL, align=0.5)
    if panel.up.name:
        upright = np.rot90(text_mask(panel.up.name, CAPITAL))
        put(canvas, upright, panel.left - 16 - widest, (panel.top + panel.below) / 2, 1.0, BLACK)


def dashed(canvas: Image, start: tuple[int, int], end: tuple[int, int], ink: Colour, width: int = 2) -> None:
    """A dashed line, upright or level."""
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    step = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    for at in range(0, length, 2 * _DASH):
        until = min(at + _DASH, length)
        a, b = ((round(start[0] + step[0] * n), round(start[1] + step[1] * n)) for n in (at, until))
        cv2.line(canvas, a, b, ink, width)


def spaced(ticks: Iterable[tuple[float, str]], scale: Scale, apart: float) -> tuple[tuple[float, str], ...]:
    """Those ticks, in the order given, that lie within the scale and not closer than `apart` to one before."""
    found = list[tuple[float, str]]()
    for value, label in ticks:
        place = scale(value)
        if -1e-9 <= place <= 1 + 1e-9 and all(abs(place - scale(other)) >= apart for other, _ in found):
            found.append((value, label))
    return tuple(found)


def round_values(low: float, high: float) -> list[float]:
    """Four to eleven round values between two ends, the first of which is lower."""
    raw = (high - low) / 10
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
