"""Boxes and their labels on pictures, readable at any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np

from prune.report.colours import BLACK, Colour, ink_on
from prune.report.label_placement import Edges, find_place
from prune.report.text import Mask, fitting_mask
from prune.samples.images import Image

Line = Literal["plain", "thin", "dashed", "bold"]
_WIDTHS: dict[Line, float] = {"plain": 0.3, "thin": 0.16, "dashed": 0.36, "bold": 0.4}
"""Line widths as shares of the height of capitals."""
_SHRINK = (1.0, 0.85, 0.7)
LONG_SIDE = 600
"""A picture whose longer side is shorter is enlarged, so that labels are readable."""
_CAPITAL_SHARE = 0.017
GROUND: Colour = (38, 38, 38)
"""The background around pictures."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A word before a label, on its own colour."""

    text: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Mark:
    """A box to draw: `box` x0 y0 x1 y1 in pixels of the picture, its label (empty: none), colour and line."""

    box: tuple[float, float, float, float]
    text: str
    colour: Colour
    line: Line = "plain"
    tag: Tag | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture with its marks: RGB uint8; `left_out` labels had no room, `labels` are the places of the others."""

    image: Image
    labels: tuple[Edges, ...]
    left_out: int


def capital_height(size_wh: tuple[int, int]) -> int:
    """Pixels of a capital letter in a picture: in proportion to the picture, so that it is readable on a screen that
    shows the whole."""
    return max(9, round(_CAPITAL_SHARE * max(size_wh)))


def enlargement(size_wh: tuple[int, int]) -> int:
    """How many times a picture is enlarged before it is drawn on: 1, unless it is too small for labels."""
    return max(1, -(-LONG_SIDE // max(size_wh)))


def draw_marks(image: Image, marks: Sequence[Mark], capital: int | None = None) -> Drawn:
    """A copy of an RGB picture, enlarged where it is small, with marks; the first are labelled first.

    `capital`: height of capitals in pixels of the result. A label shrinks where there is little room, and is left
    out where there is none, rather than covering another.
    """
    factor = enlargement((image.shape[1], image.shape[0]))
    canvas = image.copy() if factor == 1 else _enlarged(image, factor)
    capital = capital or capital_height((canvas.shape[1], canvas.shape[0]))
    canvas = _roomy(canvas, capital)
    size_wh = canvas.shape[1], canvas.shape[0]
    boxes = [_pixels(mark, factor, size_wh) for mark in marks]
    for mark, box in reversed(list(zip(marks, boxes, strict=True))):
        _draw_box(canvas, box, mark.colour, mark.line, capital)
    taken: list[Edges] = []
    labelled = [(mark, box) for mark, box in zip(marks, boxes, strict=True) if mark.text or mark.tag]
    for mark, box in labelled:
        _draw_label(canvas, mark, box, capital, taken)
    return Drawn(canvas, tuple(taken), len(labelled) - len(taken))


@lru_cache(maxsize=4096)
def label_image(text: str, colour: Colour, tag: Tag | None, capital: int, width: int) -> Image:
    """(h, w, 3) a label by itself, at most about `width` pixels wide. It is cached and must not be drawn on."""
    tag_mask = fitting_mask(tag.text, capital, width // 2) if tag else None
    pieces = [] if tag is None or tag_mask is None else [chip(tag_mask, tag.colour, capital)]
    if text:
        room = width - sum(piece.shape[1] for piece in pieces) - 2 * _pad(capital)
        pieces.append(chip(fitting_mask(text, capital, max(room, 1)), colour, capital))
    rows = max(piece.shape[0] for piece in pieces)
    padded = [
        cv2.copyMakeBorder(p, 0, rows - len(p), 0, 0, cv2.BORDER_REPLICATE) if len(p) < rows else p for p in pieces
    ]
    return np.concatenate(padded, axis=1)


def chip(mask: Mask, colour: Colour, capital: int) -> Image:
    """(h, w, 3) text on a plain background of `colour`."""
    pad = _pad(capital)
    canvas = np.full((mask.shape[0] + pad, mask.shape[1] + 2 * pad, 3), colour, np.uint8)
    top = pad - pad // 3
    blend(canvas[top : top + mask.shape[0], pad : pad + mask.shape[1]], mask, ink_on(colour))
    return canvas


def draw_frame(canvas: Image, box: Edges, colour: Colour, line: Line, capital: int) -> None:
    """Draw the outline of a box with a dark rim, so that it is visible on any background."""
    _draw_box(canvas, box, colour, line, capital)


def _draw_box(canvas: Image, box: Edges, colour: Colour, line: Line, capital: int) -> None:
    side = min(box[2] - box[0], box[3] - box[1])
    width = max(1, min(round(_WIDTHS[line] * capital), side // 4))  # a tiny box must not disappear under its line
    rim = width + 2 * max(1, round(width / 4))
    strokes = list(_dashes(box, 3 * width)) if line == "dashed" else [(box[:2], box[2:])]
    for thickness, ink in ((rim, BLACK), (width, colour)):
        for start, end in strokes:
            if line == "dashed":
                cv2.line(canvas, start, end, ink, thickness)
            else:
                cv2.rectangle(canvas, start, end, ink, thickness)


def _dashes(box: Edges, length: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Strokes of about `length` pixels along the outline, one at each corner, with gaps as long."""
    x0, y0, x1, y1 = box
    found = []
    for a, b in (((x0, y0), (x1, y0)), ((x0, y1), (x1, y1)), ((x0, y0), (x0, y1)), ((x1, y0), (x1, y1))):
        size = max(abs(b[0] - a[0]), abs(b[1] - a[1]))
        pieces = 2 * max(1, round(size / length / 2)) + 1  # odd: a stroke at both ends
        cuts = np.linspace(a, b, pieces + 1).round().astype(int)
        found += [((int(p[0]), int(p[1])), (int(q[0]), int(q[1]))) for p, q in zip(cuts[::2], cuts[1::2], strict=False)]
    return found


def _draw_label(canvas: Image, mark: Mark, box: Edges, capital: int, taken: list[Edges]) -> None:
    """Draw the label at a free place, which is added to `taken`; it is left out where there is none."""
    size_wh = canvas.shape[1], canvas.shape[0]
    for share in _SHRINK:
        label = label_image(mark.text, mark.colour, mark.tag, max(8, round(share * capital)), size_wh[0])
        place = find_place((label.shape[1], label.shape[0]), box, taken, size_wh)
        if place is not None:
            canvas[place[1] : place[3], place[0] : place[2]] = label
            taken.append(place)
            return


def _pixels(mark: Mark, factor: int, size_wh: tuple[int, int]) -> Edges:
    """The pixels of the canvas that the box begins and ends on, all within it."""
    limit = np.array((*size_wh, *size_wh)) - 1
    x0, y0, x1, y1 = np.clip(np.array(mark.box) * factor, 0, limit).round().astype(int).tolist()
    return x0, y0, max(x0, x1), max(y0, y1)


def _enlarged(image: Image, factor: int) -> Image:
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)


def _roomy(image: Image, capital: int) -> Image:
    """The image, extended by dark background where it is too low or too narrow for a few labels."""
    below, beside = max(0, 8 * capital - image.shape[0]), max(0, 12 * capital - image.shape[1])
    if not (below or beside):
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=GROUND), np.uint8)


def blend(canvas: Image, mask: Mask, ink: Colour) -> None:
    """Colour part of a canvas, which is changed, through an opacity mask of its size."""
    share = mask[:, :, None].astype(np.float32) / 255
    canvas[:] = (canvas * (1 - share) + np.array(ink, np.float32) * share).round().astype(np.uint8)


def _pad(capital: int) -> int:
    return max(2, round(0.35 * capital))
