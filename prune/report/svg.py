"""Pictures and charts of a page as SVG: sharp at any size, with text in any script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prune.data.anchors import AnchorFit, Sizes
from prune.data.examples import Example
from prune.report.colours import class_colour, ink_on
from prune.report.html import data_uri, text, thumbnail
from prune.samples.images import Image

MOST_LABELS, MOST_DOTS = 12, 1500
_FONT = 0.04
"""The height of a label's letters, as a share of the picture's longer side: some 14 pixels on a phone."""


@dataclass(frozen=True, slots=True)
class _Label:
    x: float
    y: float
    width: float
    height: float

    def touches(self, other: _Label) -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def example_svg(example: Example, image: Image, names: Sequence[str]) -> str:
    """An example with its boxes in the colours of their classes: dashed where difficult or crowd; where some are
    marked, the others are thin. Few boxes have labels beside them, which never overlap."""
    small = thumbnail(image)
    height, width = small.shape[:2]
    edges = np.clip(example.sample.pixel_edges(example.size_wh) / np.array(example.size_wh * 2), 0, 1)
    edges = edges * np.array((width, height) * 2)
    boxes = "".join(_rect(example, number, box.tolist(), max(width, height)) for number, box in enumerate(edges))
    labels = _labels(example, edges.tolist(), (width, height), names)
    picture = f'<image href="{data_uri(small)}" width="{width}" height="{height}"/>'
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(example.sample.image.name)}">'
        f"{picture}{boxes}{labels}</svg>"
    )


def rgb(colour: tuple[int, int, int]) -> str:
    """A colour in CSS notation."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _rect(example: Example, number: int, box: Sequence[float], long_side: int) -> str:
    x0, y0, x1, y1 = box
    line = long_side * 0.006
    if example.marked:
        line *= 1.5 if number in example.marked else 0.5
    dashed = example.sample.difficult[number] or example.sample.crowd[number]
    dash = f' stroke-dasharray="{3 * line:.1f}"' if dashed else ""
    colour = rgb(class_colour(int(example.sample.classes[number])))
    return (
        f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" fill="none" '
        f'stroke="{colour}" stroke-width="{line:.1f}"{dash}/>'
    )


def _labels(example: Example, edges: Sequence[Sequence[float]], size_wh: tuple[int, int], names: Sequence[str]) -> str:
    numbers = list(example.marked) or list(range(len(edges)))
    if len(numbers) > MOST_LABELS:
        return ""
    taken, parts = list[_Label](), list[str]()
    for number in numbers:
        label = int(example.sample.classes[number])
        place = _place(edges[number], names[label], size_wh)
        if not any(place.touches(other) for other in taken):
            taken.append(place)
            parts.append(_label(place, names[label], label))
    return "".join(parts)


def _place(box: Sequence[float], name: str, size_wh: tuple[int, int]) -> _Label:
    """Above the box's upper left corner where there is room, else within the box; always within the picture."""
    font = max(size_wh) * _FONT
    width = min(size_wh[0], font * (0.5 + sum(0.62 if ord(letter) < 0x2E80 else 1.05 for letter in name)))
    height = font * 1.3
    y = box[1] - height if box[1] >= height else box[1]
    return _Label(max(0.0, min(box[0], size_wh[0] - width)), min(y, size_wh[1] - height), width, height)


def _label(place: _Label, name: str, label: int) -> str:
    colour = class_colour(label)
    font = place.height / 1.3
    return (
        f'<rect x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" '
        f'fill="{rgb(colour)}"/><text x="{place.x + font * 0.25:.1f}" y="{place.y + font:.1f}" '
        f'font-size="{font:.1f}" font-family="sans-serif" fill="{rgb(ink_on(colour))}" '
        f'textLength="{place.width - font * 0.5:.1f}" lengthAdjust="spacingAndGlyphs">{text(name)}</text>'
    )


def sizes_svg(sizes: Sizes, after: AnchorFit, before: AnchorFit | None, net_wh: tuple[int, int], seed: int = 0) -> str:
    """Width and height of boxes as dots, on logarithmic axes in pixels of the network's input (equal distances are
    equal IoUs there), with the anchors on top."""
    some = sizes
    if len(sizes) > MOST_DOTS:
        some = sizes[np.random.default_rng(seed).choice(len(sizes), MOST_DOTS, replace=False)]
    low = min(4.0, 2.0 ** math.floor(math.log2(max(0.25, float(sizes.min())))))
    chart = _Chart(low, float(max(net_wh)))
    dots = "".join(f'<circle cx="{chart.x(w):.1f}" cy="{chart.y(h):.1f}" r="2"/>' for w, h in some)
    parts = [chart.axes(), f'<g fill="#3d7ab8" fill-opacity=".35">{dots}</g>']
    if before is not None:
        parts += [chart.ring(w, h) for w, h in before.anchors]
    parts += [chart.cross(w, h) for w, h in after.anchors]
    label = "width and height of the boxes, and the anchors"
    return f'<svg viewBox="0 0 440 424" role="img" aria-label="{label}">{"".join(parts)}</svg>'


@dataclass(frozen=True, slots=True)
class _Chart:
    """A square of logarithmic axes from `low` to `high`, 380 wide, its left lower corner at (44, 384)."""

    low: float
    high: float

    def _share(self, value: float) -> float:
        return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)

    def x(self, width: float) -> float:
        return 44 + 380 * self._share(width)

    def y(self, height: float) -> float:
        return 384 - 380 * self._share(height)

    def axes(self) -> str:
        ticks = [self.low * 2**step for step in range(20) if self.low * 2**step <= self.high]
        lines = "".join(
            f'<path d="M{self.x(t):.1f} 4V384M44 {self.y(t):.1f}H424" stroke="#ddd"/>'
            f'<text x="{self.x(t):.1f}" y="400" text-anchor="middle">{t:g}</text>'
            f'<text x="39" y="{self.y(t) + 4:.1f}" text-anchor="end">{t:g}</text>'
            for t in ticks
        )
        titles = (
            '<text x="234" y="418" text-anchor="middle">width, px</text>'
            '<text x="12" y="194" text-anchor="middle" transform="rotate(-90 12 194)">height, px</text>'
        )
        return f'<g font-size="14" font-family="sans-serif" fill="#333">{lines}{titles}</g>'

    def cross(self, width: float, height: float) -> str:
        x, y = self.x(width), self.y(height)
        path = f"M{x - 6:.1f} {y:.1f}h12M{x:.1f} {y - 6:.1f}v12"
        return (
            f'<path d="{path}" stroke="#fff" stroke-width="5"/><path d="{path}" stroke="#c2341d" stroke-width="2.5"/>'
        )

    def ring(self, width: float, height: float) -> str:
        place = f'cx="{self.x(width):.1f}" cy="{self.y(height):.1f}" r="6" fill="none"'
        return f'<circle {place} stroke="#fff" stroke-width="4.5"/><circle {place} stroke="#222" stroke-width="2"/>'
