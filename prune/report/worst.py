"""The picture of the worst images of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from prune.metrics.worst_images import WorstImage
from prune.report.colours import class_colour
from prune.report.draw import GROUND, Mark, Tag, draw_marks
from prune.report.montage import flow, level, sample_line, text_block, wrapped
from prune.report.text import drawable
from prune.samples.boxes import Boxes
from prune.samples.images import Image, read_image

COLUMNS, SHOWN = 2, 12
"""Two columns fit the screen of a phone."""
_WIDTH, _HEIGHT, _CAPITAL, _GAP = 640, 640, 14, 12
MISSED = Tag("missed", (176, 16, 32))
FALSE = Tag("false", (150, 80, 0))


def worst_sheet(worst: Sequence[WorstImage], names: Sequence[str], conf: float) -> Image:
    """RGB: the first SHOWN images with missed objects and false positives marked, above each its name and the reason it
    is here. `names` are drawable class names, `conf` the lowest score that counted."""
    columns = min(COLUMNS, len(worst))
    width = columns * _WIDTH + (columns + 1) * _GAP
    title = f"The {min(len(worst), SHOWN)} worst images, detections of score {conf:.3f} or more"
    cells = [_cell(number, item, names) for number, item in enumerate(worst[:SHOWN], start=1)]
    rows = [_row(cells[start : start + columns], width) for start in range(0, len(cells), columns)]
    head = text_block(wrapped(title, _CAPITAL, width - 2 * _CAPITAL), width, _CAPITAL)
    return np.concatenate([head, flow(_legend(), width, _CAPITAL), *rows])


def _legend() -> list[Image]:
    return [
        sample_line("true positive", "thin", _CAPITAL),
        sample_line("missed object", "dashed", _CAPITAL, MISSED),
        sample_line("false positive", "bold", _CAPITAL, FALSE),
    ]


def _cell(number: int, item: WorstImage, names: Sequence[str]) -> Image:
    caption = f"{number}. {drawable(item.image.name, item.image.suffix)}: {drawable(item.reason, 'see the marks')}"
    head = text_block(wrapped(caption, _CAPITAL, _WIDTH - 2 * _CAPITAL), _WIDTH, _CAPITAL)
    image = read_image(item.image, item.size_wh)
    if image is None:  # it could be decoded before
        return np.concatenate((head, text_block(["the image no longer exists"], _WIDTH, _CAPITAL)))
    scale = min(_WIDTH / item.size_wh[0], _HEIGHT / item.size_wh[1])
    size_wh = max(1, round(item.size_wh[0] * scale)), max(1, round(item.size_wh[1] * scale))
    fitted = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    picture = draw_marks(fitted, _marks(item, names, scale), _CAPITAL - 3).image[:, :_WIDTH]
    beside = _WIDTH - picture.shape[1]
    padded = cv2.copyMakeBorder(picture, 0, 0, beside // 2, beside - beside // 2, cv2.BORDER_CONSTANT, value=GROUND)
    return np.concatenate((head, np.asarray(padded, np.uint8)))


def _marks(item: WorstImage, names: Sequence[str], scale: float) -> list[Mark]:
    """The mistakes, with labels, then the true positives."""
    missed = [
        Mark(_scaled(item.boxes[i], scale), names[int(item.classes[i])], _colour(item.classes[i]), "dashed", MISSED)
        for i in np.flatnonzero(item.missed)
    ]
    false = [
        Mark(_scaled(row, scale), f"{names[int(row[5])]} {row[4]:.2f}", _colour(row[5]), "bold", FALSE)
        for row in item.found[~item.right]
    ]
    right = [Mark(_scaled(row, scale), "", _colour(row[5]), "thin") for row in item.found[item.right]]
    return [*missed, *false, *right]


def _scaled(row: Boxes, scale: float) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) * scale for value in row[:4])
    return x0, y0, x1, y1


def _colour(label: float) -> tuple[int, int, int]:
    return class_colour(int(label))


def _row(cells: Sequence[Image], width: int) -> Image:
    cells = level(cells)
    row = np.full((len(cells[0]) + _GAP, width, 3), GROUND, np.uint8)
    for number, cell in enumerate(cells):
        left = _GAP + number * (_WIDTH + _GAP)
        row[: len(cell), left : left + _WIDTH] = cell
    return row
