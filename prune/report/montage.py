"""Montages of pictures: two networks side by side, the worst images of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from prune.files.writing import atomic_write
from prune.metrics.changes import Changes
from prune.report.colours import Colour, class_colour
from prune.report.draw import GROUND, Drawn, Line, Mark, Tag, chip, draw_frame, draw_marks, enlargement
from prune.report.text import drawable, fitting_mask, text_mask
from prune.samples.boxes import Boxes
from prune.samples.images import Image

Ids = NDArray[np.int64]

LOST = Tag("lost", (176, 16, 32))
NEW = Tag("new", (16, 72, 200))
_SHARE = 0.01
_SAMPLE: Colour = (255, 200, 60)
"""The colour of the sample lines in a legend."""


def detection_marks(found: Boxes, names: Sequence[str]) -> list[Mark]:
    """Marks of detections (n, 6): x0 y0 x1 y1 in pixels, score, class."""
    return [_mark(row, names) for row in found]


def draw_detections(image: Image, found: Boxes, names: Sequence[str]) -> Drawn:
    """A copy of an RGB picture with its detections (n, 6)."""
    return draw_marks(image, detection_marks(found, names))


def compare_detections(
    image: Image, before: Boxes, after: Boxes, changes: Changes, names: Sequence[str], titles: tuple[str, str]
) -> Drawn:
    """One picture twice: on the left with the detections `before`, on the right with those `after`, where lost and new
    ones are marked; a title above each side, a legend below."""
    factor = enlargement((image.shape[1], image.shape[0]))
    capital = max(10, round(_SHARE * max(2 * factor * image.shape[1], factor * image.shape[0])))
    left = draw_marks(image, _side_marks(before, changes.lost, LOST, "dashed", names), capital)
    right = draw_marks(image, _side_marks(after, changes.new, NEW, "bold", names), capital)
    width, gap = left.image.shape[1], max(4, capital // 2)
    notes = f"{len(before)} found, {len(changes.lost)} lost", f"{len(after)} found, {len(changes.new)} new"
    heads = level([_header(title, note, width, capital) for title, note in zip(titles, notes, strict=True)])
    columns = [np.concatenate((head, side.image)) for head, side in zip(heads, (left, right), strict=True)]
    middle = np.full((len(columns[0]), gap, 3), GROUND, np.uint8)
    both = np.concatenate((columns[0], middle, columns[1]), axis=1)
    sheet = np.concatenate((both, flow(_compare_legend(capital), both.shape[1], capital)))
    return Drawn(sheet, (), left.left_out + right.left_out)


def flow(items: Sequence[Image], width: int, capital: int) -> Image:
    """A strip `width` wide with pictures from left to right, in as many rows as they need; wider ones shrink."""
    room, gap = width - 2 * capital, capital
    items = [_shrunk(item, room) for item in items]
    rows: list[list[Image]] = [[]]
    for item in items:
        used = sum(other.shape[1] + gap for other in rows[-1])
        if rows[-1] and used + item.shape[1] > room:
            rows.append([])
        rows[-1].append(item)
    return np.concatenate([_row(row, width, capital) for row in rows])


def wrapped(text: str, capital: int, width: int) -> list[str]:
    """Lines of at most about `width` pixels, broken at blanks."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_mask(longer, capital).shape[1] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def text_block(lines: Sequence[str], width: int, capital: int, ground: Colour = GROUND) -> Image:
    """Lines of text below each other on a plain background, `width` wide; a line that is too long shrinks."""
    chips = [chip(fitting_mask(line, capital, width - 2 * capital), ground, capital) for line in lines if line]
    padded = [_wide(piece, width, ground) for piece in chips]
    return np.concatenate(padded) if padded else np.full((0, width, 3), ground, np.uint8)


def write_picture(path: Path, image: Image) -> None:
    """Write an RGB picture in the format of its suffix, whole or not at all. Raises OSError."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix.lower() in (".jpg", ".jpeg") else []
    encoded, content = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not encoded:
        raise OSError(f"OpenCV cannot write {path.suffix} pictures")
    atomic_write(path, content.tobytes())


def sample_line(text: str, line: Line, capital: int, tag: Tag | None = None) -> Image:
    """An entry of a legend: a box with its line style, the tag of its label if any, and the meaning."""
    box = np.full((round(2.2 * capital), round(3.4 * capital), 3), GROUND, np.uint8)
    margin = capital // 3 + 1
    draw_frame(box, (margin, margin, box.shape[1] - margin - 1, len(box) - margin - 1), _SAMPLE, line, capital)
    pieces = [box, *([chip(text_mask(tag.text, capital), tag.colour, capital)] if tag else [])]
    pieces.append(chip(text_mask(text, capital), GROUND, capital))
    rows = max(len(piece) for piece in pieces)
    return np.concatenate([_tall(piece, rows) for piece in pieces], axis=1)


def _compare_legend(capital: int) -> list[Image]:
    return [
        sample_line("found by both (same class, IoU 0.5 or more)", "thin", capital),
        sample_line("only on the left", "dashed", capital, LOST),
        sample_line("only on the right", "bold", capital, NEW),
    ]


def _side_marks(found: Boxes, changed: Ids, tag: Tag, line: Line, names: Sequence[str]) -> list[Mark]:
    """Marks of one side, the changed ones first, so that their labels are placed first."""
    different = {int(index) for index in changed}
    order = sorted(range(len(found)), key=lambda index: index not in different)
    return [_mark(found[i], names, line, tag) if i in different else _mark(found[i], names, "thin") for i in order]


def _mark(row: Boxes, names: Sequence[str], line: Line = "plain", tag: Tag | None = None) -> Mark:
    x0, y0, x1, y1, score, label = (float(value) for value in row)
    return Mark((x0, y0, x1, y1), f"{names[int(label)]} {score:.2f}", class_colour(int(label)), line, tag)


def _header(title: str, note: str, width: int, capital: int) -> Image:
    title = drawable(title, "?")
    lines = [*wrapped(title, capital, width - 2 * capital), note]
    return text_block(lines, width, capital)


def level(images: Sequence[Image]) -> list[Image]:
    """Images with background below, so that all are as high as the highest."""
    rows = max(len(image) for image in images)
    return [
        np.asarray(cv2.copyMakeBorder(i, 0, rows - len(i), 0, 0, cv2.BORDER_CONSTANT, value=GROUND), np.uint8)
        for i in images
    ]


def _row(items: Sequence[Image], width: int, capital: int) -> Image:
    rows = max(len(item) for item in items) + capital // 2
    strip = np.full((rows, width, 3), GROUND, np.uint8)
    x = capital
    for item in items:
        top = (rows - len(item)) // 2
        strip[top : top + len(item), x : x + item.shape[1]] = item
        x += item.shape[1] + capital
    return strip


def _tall(image: Image, rows: int) -> Image:
    above = (rows - len(image)) // 2
    below = rows - len(image) - above
    return np.asarray(cv2.copyMakeBorder(image, above, below, 0, 0, cv2.BORDER_CONSTANT, value=GROUND), np.uint8)


def _wide(image: Image, width: int, ground: Colour) -> Image:
    beside = max(0, width - image.shape[1])
    padded = cv2.copyMakeBorder(image, 0, 0, 0, beside, cv2.BORDER_CONSTANT, value=ground)
    return np.asarray(padded[:, :width], np.uint8)


def _shrunk(image: Image, width: int) -> Image:
    if image.shape[1] <= width:
        return image
    height = max(1, round(len(image) * width / image.shape[1]))
    return np.asarray(cv2.resize(image, (max(1, width), height), interpolation=cv2.INTER_AREA), np.uint8)
