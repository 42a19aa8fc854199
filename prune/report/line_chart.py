"""Line charts drawn by OpenCV: always there, and quick enough to be redrawn after every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from prune.report.colours import BLACK, WHITE, Colour
from prune.report.draw import blend
from prune.report.text import text_mask
from prune.samples.images import Image

Floats = NDArray[np.float64]
WIDTH, HEIGHT = 640, 400
"""Pixels of a chart."""
SMALLEST = 1e-12
"""A logarithmic axis ends here."""
COLOURS: tuple[Colour, ...] = (
    (31, 119, 180),
    (214, 39, 40),
    (44, 160, 44),
    (148, 103, 189),
    (230, 120, 0),
    (90, 90, 90),
)
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 62, 36
_CAPITAL, _TICK = 11, 9
_GREY: Colour = (222, 222, 222)
_INK: Colour = (70, 70, 70)
_SUBPIXEL = 4
_MARKED = 25
"""A curve of at most so many points has them marked."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (x (n,), y (n,)) from left to right, all finite."""

    name: str
    x: Floats
    y: Floats


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over a common axis. `log`: with a logarithmic y axis where all values are above SMALLEST.

    `across`, `up`: the ends of the axes (default: those of the values).
    """

    title: str
    curves: Sequence[Curve]
    log: bool = False
    across: tuple[float, float] | None = None
    up: tuple[float, float] | None = None


def draw_chart(chart: Chart) -> Image:
    """(HEIGHT, WIDTH, 3) RGB: title, legend with the last values, grid and curves."""
    canvas = np.full((HEIGHT, WIDTH, 3), WHITE, np.uint8)
    write(canvas, chart.title, (_LEFT, 10), _CAPITAL + 1, BLACK)
    curves = [curve for curve in chart.curves if len(curve.x)]
    if not curves:
        return canvas
    x, y = np.concatenate([curve.x for curve in curves]), np.concatenate([curve.y for curve in curves])
    log = chart.log and bool((y > SMALLEST).all())
    across = _axis(chart.across or (float(x.min()), float(x.max())), False, _LEFT, WIDTH - _RIGHT)
    up = _axis(chart.up or _roomy(float(y.min()), float(y.max()), log), log, HEIGHT - _BOTTOM, _TOP)
    _draw_grid(canvas, across, up)
    for number, curve in enumerate(curves):
        _draw_curve(canvas, across.place(curve.x), up.place(curve.y), COLOURS[number % len(COLOURS)])
    _draw_legend(canvas, curves)
    return canvas


def write(canvas: Image, text: str, corner: tuple[int, int], capital: int, ink: Colour, right: bool = False) -> int:
    """Write a line of text with its left (or `right`) upper corner at `corner`, cut at the edges; returns its width."""
    mask = text_mask(text, capital)
    width = int(mask.shape[1])
    x, y = corner[0] - width * right, corner[1]
    mask = mask[: max(0, len(canvas) - y), max(0, -x) : max(0, canvas.shape[1] - x)]
    x = max(0, x)
    blend(canvas[y : y + len(mask), x : x + mask.shape[1]], mask, ink)
    return width


@dataclass(frozen=True, slots=True)
class _Axis:
    """`place`: values → pixels; `ticks`: the values that are labelled."""

    place: Callable[[Floats], Floats]
    ticks: Floats


def _roomy(low: float, high: float, log: bool) -> tuple[float, float]:
    """The ends of an axis a little beyond the values, so that no curve runs along the frame."""
    if log:
        room = max(1.1, (high / low) ** 0.04)
        return low / room, high * room
    room = 0.04 * (high - low) or 0.1 * (abs(high) or 1.0)
    return low - room, high + room


def _axis(ends: tuple[float, float], log: bool, start: float, end: float) -> _Axis:
    """An axis of the values between `ends` on the pixels from `start` to `end`."""
    scale: Callable[[Floats], Floats] = np.log10 if log else np.asarray
    low, high = ends if ends[0] < ends[1] else (ends[0] - 0.5, ends[1] + 0.5)
    first, last = (float(scale(np.array(value))) for value in (low, high))
    ticks = _log_ticks(low, high) if log else _ticks(low, high)

    def place(values: Floats) -> Floats:
        return start + (scale(values) - first) / (last - first) * (end - start)

    return _Axis(place, ticks)


def _ticks(low: float, high: float) -> Floats:
    """Four to ten round values of a linear axis."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    whole = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return np.array([number * step for number in whole], np.float64)


def _log_ticks(low: float, high: float) -> Floats:
    """1, 2 and 5 times powers of ten; only the powers where the axis is long, round values where it is short."""
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    fine = [factor * power for power in powers for factor in ((1, 2, 5) if high / low < 1000 else (1,))]
    found = [value for value in fine if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    return np.array(found, np.float64) if len(found) > 1 else _ticks(low, high)


def _draw_grid(canvas: Image, across: _Axis, up: _Axis) -> None:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for value, x in zip(across.ticks, across.place(across.ticks).round().astype(int).tolist(), strict=True):
        if value != round(value):  # there is no half epoch
            continue
        cv2.line(canvas, (x, _TOP), (x, bottom), _GREY, 1)
        write(canvas, f"{value:g}", (x + text_mask(f"{value:g}", _TICK).shape[1] // 2, bottom + 6), _TICK, _INK, True)
    for value, y in zip(up.ticks, up.place(up.ticks).round().astype(int).tolist(), strict=True):
        cv2.line(canvas, (_LEFT, y), (right, y), _GREY, 1)
        write(canvas, f"{value:.4g}", (_LEFT - 6, y - _TICK // 2 - 2), _TICK, _INK, True)
    cv2.rectangle(canvas, (_LEFT, _TOP), (right, bottom), _INK, 1)


def _draw_curve(canvas: Image, x: Floats, y: Floats, colour: Colour) -> None:
    points = np.stack((x, y), axis=1)
    fine = (points * 2**_SUBPIXEL).round().astype(np.int32)
    cv2.polylines(canvas, [fine], False, colour, 2, cv2.LINE_AA, _SUBPIXEL)
    if len(points) <= _MARKED:
        for column, row in fine.tolist():
            cv2.circle(canvas, (column, row), 3 << _SUBPIXEL, colour, -1, cv2.LINE_AA, _SUBPIXEL)


def _draw_legend(canvas: Image, curves: Sequence[Curve]) -> None:
    x, y = _LEFT, 38
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        cv2.line(canvas, (x, y + _CAPITAL // 2), (x + 16, y + _CAPITAL // 2), colour, 3, cv2.LINE_AA)
        x += 22 + write(canvas, f"{curve.name} {curve.y[-1]:.3g}", (x + 22, y), _TICK + 1, _INK) + 14
        if x >= WIDTH - _RIGHT:
            return
