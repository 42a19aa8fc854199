"""Line charts drawn by OpenCV: always there, and quick enough to be redrawn after every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from prune.report.colours import Colour
from prune.report.panel import CAPITAL, Axis, Panel, blank, draw_axes, draw_grid, round_values, write
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
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 62, 36
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
    canvas = blank(WIDTH, HEIGHT)
    write(canvas, chart.title, _LEFT, 16)
    curves = [curve for curve in chart.curves if len(curve.x)]
    if not curves:
        return canvas
    x, y = np.concatenate([curve.x for curve in curves]), np.concatenate([curve.y for curve in curves])
    log = chart.log and bool((y > SMALLEST).all())
    across = _axis(chart.across or (float(x.min()), float(x.max())), False, whole=True)
    up = _axis(chart.up or _roomy(float(y.min()), float(y.max()), log), log)
    panel = Panel(_LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM, across, up)
    draw_grid(canvas, panel)
    draw_axes(canvas, panel)
    for number, curve in enumerate(curves):
        _draw_curve(canvas, panel, curve, COLOURS[number % len(COLOURS)])
    _draw_legend(canvas, curves)
    return canvas


def _roomy(low: float, high: float, log: bool) -> tuple[float, float]:
    """The ends of an axis a little beyond the values, so that no curve runs along the frame."""
    if log:
        room = max(1.1, (high / low) ** 0.04)
        return low / room, high * room
    room = 0.04 * (high - low) or 0.1 * (abs(high) or 1.0)
    return low - room, high + room


def _axis(ends: tuple[float, float], log: bool, whole: bool = False) -> Axis:
    """An axis of the values between `ends`; `whole`: only whole numbers are labelled, as there is no half epoch."""
    scale: Callable[[float], float] = math.log10 if log else float
    low, high = ends if ends[0] < ends[1] else (ends[0] - 0.5, ends[1] + 0.5)
    first, last = scale(low), scale(high)
    values = (_log_ticks if log else round_values)(low, high)
    ticks = tuple((value, f"{value:.4g}") for value in values if value == round(value) or not whole)
    return Axis("", lambda value: (scale(value) - first) / (last - first), ticks)


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; only the powers where the axis is long, round values where it is short."""
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    fine = [factor * power for power in powers for factor in ((1, 2, 5) if high / low < 1000 else (1,))]
    found = [value for value in fine if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    return found if len(found) > 1 else round_values(low, high)


def _draw_curve(canvas: Image, panel: Panel, curve: Curve, colour: Colour) -> None:
    places = [(panel.exact_x(x), panel.exact_y(y)) for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True)]
    fine = (np.array(places) * 2**_SUBPIXEL).round().astype(np.int32)
    cv2.polylines(canvas, [fine], False, colour, 2, cv2.LINE_AA, _SUBPIXEL)
    if len(fine) <= _MARKED:
        for column, row in fine.tolist():
            cv2.circle(canvas, (column, row), 3 << _SUBPIXEL, colour, -1, cv2.LINE_AA, _SUBPIXEL)


def _draw_legend(canvas: Image, curves: Sequence[Curve]) -> None:
    x, y = _LEFT, 44
    for number, curve in enumerate(curves):
        words = f"{curve.name} {curve.y[-1]:.3g}"
        cv2.line(canvas, (x, y), (x + 16, y), COLOURS[number % len(COLOURS)], 3, cv2.LINE_AA)
        write(canvas, words, x + 22, y)
        x += 22 + text_mask(words, CAPITAL).shape[1] + 14
        if x >= WIDTH - _RIGHT:
            return
