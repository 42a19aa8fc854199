"""batch.png: training images as the network sees them, with the boxes it learns."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from prune.report.colours import class_colour
from prune.report.draw import GROUND, LONG_SIDE, Mark, draw_marks
from prune.samples.boxes import Boxes
from prune.samples.images import Image

MOST, COLUMNS = 9, 3
_CAPITAL, _GAP = 11, 6


def batch_sheet(images: Sequence[Image], targets: Boxes, names: Sequence[str]) -> Image:
    """RGB: the first MOST of the `images` (H, W, 3), all of one size, with their boxes.

    `targets` (n, 6): image, class, cxcywh as fractions; `names`: drawable class names.
    """
    cells = [_cell(image, targets[targets[:, 0] == number], names) for number, image in enumerate(images[:MOST])]
    columns = min(COLUMNS, len(cells))
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), GROUND, np.uint8)
    for number, cell in enumerate(cells):
        top, left = (
            _GAP + at * (size + _GAP) for at, size in zip(divmod(number, columns), (height, width), strict=True)
        )
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _cell(image: Image, targets: Boxes, names: Sequence[str]) -> Image:
    """An image whose longer side has LONG_SIDE pixels, with its boxes (n, 6), the smallest labelled first."""
    scale = LONG_SIDE / max(image.shape[:2])
    size_wh = round(image.shape[1] * scale), round(image.shape[0] * scale)
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    fitted = np.asarray(cv2.resize(image, size_wh, interpolation=method), np.uint8)
    order = np.argsort(targets[:, 4] * targets[:, 5], kind="stable")
    return draw_marks(fitted, [_mark(row, names, size_wh) for row in targets[order]], _CAPITAL).image


def _mark(row: Boxes, names: Sequence[str], size_wh: tuple[int, int]) -> Mark:
    _, label, *box = (float(value) for value in row)
    x, y, width, height = np.array(box) * (size_wh * 2)
    edges = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return Mark(edges, names[int(label)], class_colour(int(label)))
