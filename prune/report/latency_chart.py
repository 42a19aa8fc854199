"""Latency against BFLOPs as a picture: a colour per runtime, a point per network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2

from prune.report.colours import Colour
from prune.report.label_placement import Edges, find_place
from prune.report.latency import Latency
from prune.report.line_chart import COLOURS
from prune.report.panel import CAPITAL, GREY, Axis, Panel, blank, draw_axes, draw_grid, round_values, write
from prune.report.text import text_mask
from prune.samples.images import Image

WIDTH, HEIGHT = 900, 520
_LEFT, _TOP, _RIGHT, _BELOW = 90, 70, 870, 450
_ROOM = 1.12
"""The axes end so far beyond the largest value."""
_RADIUS = 5


def latency_chart(rows: Sequence[Latency], title: str) -> Image:
    """(HEIGHT, WIDTH, 3) RGB. Each point has a whisker from the first to the third quartile; the points of a runtime
    are joined in the order of their BFLOPs. Rows that were not measured are left out. Raises ValueError without others.
    """
    measured = [row for row in rows if row.milliseconds is not None]
    if not measured:
        raise ValueError("nothing was measured")
    canvas = blank(WIDTH, HEIGHT)
    write(canvas, title, _LEFT, 1.8 * CAPITAL)
    panel = _panel(measured)
    draw_grid(canvas, panel)
    runtimes = list(dict.fromkeys(row.runtime for row in measured))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(runtimes)}
    for name in runtimes:
        _draw_runtime(canvas, panel, [row for row in measured if row.runtime == name], colours[name])
    _label_networks(canvas, panel, measured)
    draw_axes(canvas, panel)
    _draw_legend(canvas, colours)
    return canvas


def _panel(rows: Sequence[Latency]) -> Panel:
    widest = _ROOM * max(row.bflops for row in rows) or 1.0
    longest = _ROOM * max(row.third_quartile or 0.0 for row in rows) or 1.0
    return Panel(
        _LEFT,
        _TOP,
        _RIGHT,
        _BELOW,
        Axis("BFLOPs", lambda value: value / widest, _ticks(widest)),
        Axis("ms per run (median)", lambda value: value / longest, _ticks(longest)),
    )


def _ticks(end: float) -> tuple[tuple[float, str], ...]:
    return tuple((value, f"{value:.6g}") for value in round_values(0.0, end))


def _draw_runtime(canvas: Image, panel: Panel, rows: Sequence[Latency], colour: Colour) -> None:
    ordered = sorted(rows, key=lambda row: row.bflops)
    points = [_point(panel, row) for row in ordered]
    for start, end in pairwise(points):
        cv2.line(canvas, start, end, colour, 1, cv2.LINE_AA)
    for row, (x, y) in zip(ordered, points, strict=True):
        cv2.line(canvas, (x, panel.y(row.first_quartile or 0.0)), (x, panel.y(row.third_quartile or 0.0)), colour, 2)
        cv2.circle(canvas, (x, y), _RADIUS, colour, -1, cv2.LINE_AA)


def _point(panel: Panel, row: Latency) -> tuple[int, int]:
    return panel.x(row.bflops), panel.y(row.milliseconds or 0.0)


def _mark(panel: Panel, row: Latency) -> Edges:
    """What a point and its whisker cover."""
    x, y = _point(panel, row)
    top, below = panel.y(row.third_quartile or 0.0), panel.y(row.first_quartile or 0.0)
    return x - _RADIUS, min(y - _RADIUS, top), x + _RADIUS, max(y + _RADIUS, below)


def _label_networks(canvas: Image, panel: Panel, rows: Sequence[Latency]) -> None:
    """The name of each network above the highest of its points."""
    marks = [_mark(panel, row) for row in rows]
    taken = list(marks)
    for name in dict.fromkeys(row.network for row in rows):
        own = [mark for mark, row in zip(marks, rows, strict=True) if row.network == name]
        left, top, right, below = min(own, key=lambda mark: mark[1])
        mask = text_mask(name, CAPITAL)
        size = mask.shape[1], mask.shape[0]
        inner = panel.left + size[0] // 2 + _RADIUS, panel.right - size[0] // 2 - _RADIUS
        middle = min(max((left + right) // 2, inner[0]), inner[1])
        box = (middle - size[0] // 2, top - 3, middle + size[0] // 2, below + 3)
        place = find_place(size, box, taken, (WIDTH, HEIGHT)) or (*box[:2], box[0] + size[0], box[1] + size[1])
        taken.append(place)
        write(canvas, name, place[0], (place[1] + place[3]) / 2, ink=GREY)


def _draw_legend(canvas: Image, colours: dict[str, Colour]) -> None:
    x, y = _LEFT, round(4.2 * CAPITAL)
    for name, colour in colours.items():
        cv2.circle(canvas, (x + _RADIUS, y), _RADIUS, colour, -1, cv2.LINE_AA)
        write(canvas, name, x + 3 * _RADIUS + 2, y)
        x += text_mask(name, CAPITAL).shape[1] + 8 * _RADIUS
