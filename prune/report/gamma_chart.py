"""The γ of a network as a picture: their histogram with the valley in which a cut is safe, and the epochs before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from prune.plan.readiness import Readiness
from prune.plan.valley import Array, Valley
from prune.report.colours import Colour
from prune.report.draw import blend
from prune.report.montage import wrapped
from prune.report.panel import (
    CAPITAL,
    GREY,
    Axis,
    Panel,
    blank,
    dashed,
    draw_axes,
    draw_grid,
    fill,
    spaced,
    write,
)
from prune.samples.images import Image

WIDTH = 900
DECADES = 6
"""How many decades below the largest γ the histogram begins; smaller ones are counted in its first bar."""
PER_DECADE = 10
NAME = "|gamma|"
"""Only ASCII is drawn the same everywhere."""
_BARS: Colour = (70, 110, 170)
_DEAD: Colour = (200, 105, 60)
_MARK: Colour = (20, 130, 60)
_BAND: Colour = (190, 230, 200)
_LEFT, _RIGHT, _HIGH = 100, 880, 230


@dataclass(frozen=True, slots=True)
class Histograms:
    """Histograms of |γ| after some epochs (E,): edges (B + 1,), ascending from 0, and counts (E, B)."""

    epochs: Array
    edges: Array
    counts: Array


def gamma_chart(gammas: Array, readiness: Readiness, history: Histograms | None = None) -> Image:
    """The picture: what readiness says, the histogram of the |γ| (N,), and below it the epochs, if known."""
    lines = wrapped(readiness.advice(), CAPITAL, WIDTH - 40)
    top = round((2 * len(lines) + 3) * CAPITAL)
    later = history if history is not None and len(history.epochs) else None
    height = top + _HIGH + 5 * CAPITAL + (_HIGH + 7 * CAPITAL if later else 0)
    canvas = blank(WIDTH, height)
    for number, line in enumerate(lines):
        write(canvas, line, 20, (2 * number + 1.8) * CAPITAL)
    _draw_now(canvas, top, gammas, readiness)
    if later:
        _draw_epochs(canvas, top + _HIGH + 7 * CAPITAL, later, readiness)
    return canvas


def _draw_now(canvas: Image, top: int, gammas: Array, readiness: Readiness) -> None:
    """The histogram over a logarithmic axis."""
    largest = float(gammas.max(initial=0.0))
    highest = math.ceil(math.log10(largest) + 1e-9) if largest > 0 else 0
    lowest = highest - DECADES
    powers = np.linspace(lowest, highest, DECADES * PER_DECADE + 1)
    logs = np.log10(np.maximum(gammas, 10.0 ** (lowest - 1)))
    counts = np.histogram(logs, np.concatenate([[lowest - 2.0], powers[:-1], [highest + 1.0]]))[0]
    first = lowest - 1 / PER_DECADE  # the bar of those below all decades

    def across(value: float) -> float:
        return (math.log10(value) - first) / (highest - first) if value > 0 else 0.0

    most = max(int(counts.max()), 1)
    ticks = [(10.0**power, _number(10.0**power)) for power in range(lowest, highest + 1)]
    panel = Panel(
        _LEFT,
        top,
        _RIGHT,
        top + _HIGH,
        Axis(f"{NAME} now (leftmost bar: below {_number(10.0**lowest)})", across, tuple(ticks)),
        Axis("channels", lambda value: value / (1.05 * most), _counts(most)),
    )
    _draw_band(canvas, panel, readiness.valley)
    draw_grid(canvas, panel)
    starts = [first, *powers[:-1]]
    for start, count in zip(starts, counts, strict=True):
        x0, x1 = panel.x(10.0**start), panel.x(10.0 ** (start + 1 / PER_DECADE))
        level = min(panel.y(int(count)), panel.below - 2) if count else panel.below
        small = 10.0 ** (start + 0.5 / PER_DECADE) < readiness.valley.threshold
        fill(canvas, (x0 + 1, level, x1, panel.below), _DEAD if small else _BARS)
    _mark(canvas, panel, readiness, upright=True)
    draw_axes(canvas, panel)


def _number(value: float) -> str:
    """1e-05 as 1e-5."""
    return f"{value:g}".replace("e-0", "e-")


def _counts(most: int) -> tuple[tuple[float, str], ...]:
    """At most six round numbers from 0 to `most`."""
    step = 10.0 ** math.floor(math.log10(most))
    step = max(1.0, next(s for s in (step / 5, step / 2, step, 2 * step) if most / s <= 5))
    return tuple((value, f"{value:,.0f}") for value in np.arange(0, most + 1, step).tolist())


def _draw_epochs(canvas: Image, top: int, history: Histograms, readiness: Readiness) -> None:
    """For every epoch a column, the darker the more of its γ are of a size; the root of γ spreads the small ones."""
    shares = history.counts / np.maximum(history.counts.sum(axis=1, keepdims=True), 1)
    used = np.flatnonzero(shares.any(axis=0))
    largest = float(history.edges[used[-1] + 1]) if len(used) else 1.0
    first, last = float(history.epochs[0]), float(history.epochs[-1]) + 1

    def up(value: float) -> float:
        return math.sqrt(max(value, 0.0) / largest)

    def across(epoch: float) -> float:
        return (epoch - first) / (last - first)

    step = max(1, math.ceil((last - first) / 10))
    epochs = [(epoch + 0.5, f"{epoch:.0f}") for epoch in np.arange(first, last, step).tolist()]
    sizes = [(0.0, "0"), *((m * 10.0**p, _number(m * 10.0**p)) for p in range(2, -4, -1) for m in (1, 2, 5))]
    panel = Panel(
        _LEFT,
        top,
        _RIGHT,
        top + _HIGH,
        Axis("epoch (from 0; darker: more channels)", across, tuple(epochs)),
        Axis(NAME, up, spaced(sizes, up, 0.1)),
    )
    rows = (panel.below - np.arange(panel.top, panel.below) - 0.5) / (panel.below - panel.top)
    bins = np.minimum(np.searchsorted(history.edges, largest * rows**2, side="right") - 1, shares.shape[1] - 1)
    columns = first + (np.arange(panel.left, panel.right) + 0.5 - panel.left) * (last - first) / (_RIGHT - _LEFT)
    number = np.searchsorted(history.epochs, np.floor(columns), side="right") - 1
    known = history.epochs[number] == np.floor(columns)
    share = np.where(known, shares[number][:, bins].T, 0.0)
    opacity = np.where(share > 0, 0.12 + 0.88 * np.minimum(1.0, np.sqrt(share / 0.3)), 0.0)
    mask = (255 * opacity).round().astype(np.uint8)
    blend(canvas[panel.top : panel.below, panel.left : panel.right], mask, _BARS)
    _mark(canvas, panel, readiness, upright=False)
    draw_axes(canvas, panel)


def _draw_band(canvas: Image, panel: Panel, valley: Valley) -> None:
    if valley.separated:
        low, high = (panel.x(edge) for edge in valley.edges)
        fill(canvas, (low, panel.top, high, panel.below), _BAND)


def _mark(canvas: Image, panel: Panel, readiness: Readiness, upright: bool) -> None:
    """A dashed line at the threshold, with its meaning beside it; nothing where nothing is small."""
    valley = readiness.valley
    if not valley.percent:
        return
    ink = _MARK if valley.separated else GREY
    kind = "valley" if valley.separated else "no valley; emptiest place"
    words = f"{kind} at {valley.threshold:.3g}: {readiness.percent:.1%} below"
    if upright:
        x = panel.x(valley.threshold)
        dashed(canvas, (x, panel.top), (x, panel.below), ink)
        write(canvas, words, x, panel.top - CAPITAL, align=0.5, ink=ink)
    else:
        y = panel.y(valley.threshold)
        dashed(canvas, (panel.left, y), (panel.right, y), ink)
        write(canvas, words, panel.right, panel.top - CAPITAL, align=1.0, ink=ink)
