"""Darknet's label files: where they are, and their lines."""

from __future__ import annotations

import math
import os
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prune.errors import DataError
from prune.files.reading import decode_text, read_bytes, text_fault
from prune.samples.boxes import Boxes, clip_edges, edges_around, to_centres, to_edges
from prune.samples.issues import Issues

TOLERANCE = 1e-3
"""How far beyond [0, 1] a fraction may lie: labels are usually written with 4 to 6 digits."""
SMALLEST = 1e-6
"""A side below this fraction of the image is less than a pixel of any image: the box has no area."""
POLYGON = "label line is a polygon, the box around it is used (Darknet itself only reads boxes)"

# Darknet's `replace_image_to_label`; JPEGImages is the VOC layout's.
_COCO_FOLDERS = ("train2014", "val2014", "train2017", "val2017")
_IMAGE_FOLDERS = ("images", "JPEGImages")


def label_candidates(image: Path) -> tuple[Path, ...]:
    """Where the label of `image` may be, best first.

    Darknet's own replacement (`/images/train2017/` and similar by `/labels/train2017/`), then the *last*
    folder named `images` or `JPEGImages` replaced by `labels` (replacing the text anywhere, as some tools
    do, breaks `/data/images-v2/images/a.jpg`), then beside the image.
    """
    beside = image.with_suffix(".txt")
    parts = beside.parts
    swaps = [*_coco_positions(parts), *_last_position(parts)]
    swapped = [Path(*parts[:at], "labels", *parts[at + 1 :]) for at in swaps]
    return tuple(dict.fromkeys([*swapped, beside]))


def _coco_positions(parts: tuple[str, ...]) -> list[int]:
    pairs = enumerate(pairwise(parts[:-1]))
    return [at for at, (a, b) in pairs if a == "images" and b in _COCO_FOLDERS][:1]


def _last_position(parts: tuple[str, ...]) -> list[int]:
    return [at for at, part in enumerate(parts[:-1]) if part in _IMAGE_FOLDERS][-1:]


def find_label(image: Path) -> Path | None:
    """The first of `label_candidates` that exists and is not a folder."""
    return next((path for path in label_candidates(image) if os.path.exists(path) and not os.path.isdir(path)), None)


class Labels(NamedTuple):
    """The objects of an image: classes (n,), boxes (n, 4) cx, cy, w, h as fractions of the image, clipped to it, and
    the same as written in the file."""

    classes: NDArray[np.int64]
    boxes: NDArray[np.float32]
    unclipped: Boxes


def no_labels() -> Labels:
    """The labels of an image without objects."""
    return Labels(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros((0, 4)))


def read_labels(path: Path, classes: int, faults: Issues, remarks: Issues | None = None) -> Labels:
    """Reads a label file; see `parse_labels`. A file that is not text is skipped and counted in `faults`; one that
    cannot be read raises DataError."""
    text = label_text(path, faults)
    return no_labels() if text is None else parse_labels(text, path, classes, faults, remarks)


def label_text(path: Path, faults: Issues) -> str | None:
    """The text of a label file; None, and counted, where it is not text. Raises DataError where it cannot be read."""
    data = read_bytes(path, DataError)
    if fault := text_fault(data):
        faults.add(f"label file skipped, not plain text: it {fault}", path)
        return None
    return decode_text(data)


def parse_labels(text: str, path: Path, classes: int, faults: Issues, remarks: Issues | None = None) -> Labels:
    """The objects of lines `class cx cy w h`, in fractions of the image. A polygon, `class x y x y x y …`, becomes the
    box around it and is counted in `remarks`. Faulty lines are skipped and counted in `faults` under their
    `path:line`."""
    rows = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        row = _parse_line(words)
        fault = _line_fault(row, classes)
        if fault:
            faults.add(f"label line skipped, {fault}", f"{path}:{number}")
            continue
        rows.append(row)
        if remarks is not None and len(words) > 5:
            remarks.add(POLYGON, f"{path}:{number}")
    if not rows:
        return no_labels()
    table = np.array(rows, np.float64)
    boxes = to_centres(clip_edges(to_edges(table[:, 1:]), (1.0, 1.0)))
    return Labels(table[:, 0].astype(np.int64), boxes.astype(np.float32), table[:, 1:])


def overhangs(text: str, classes: int) -> list[tuple[int, float, float]]:
    """(line from 1, overhang in x, in y) of each line that `parse_labels` accepts: how far its box reaches beyond the
    image, in fractions of it; 0 for a box within. `parse_labels` clips that part."""
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        row = _parse_line(line.split())
        if not _line_fault(row, classes):
            _, cx, cy, width, height = row
            found.append((number, _overhang(cx, width), _overhang(cy, height)))
    return found


def _overhang(centre: float, size: float) -> float:
    return max(0.0, size / 2 - centre, centre + size / 2 - 1.0)


def _parse_line(words: list[str]) -> list[float]:
    """The numbers of a line, those of a polygon as the box around it; empty where one is not a number."""
    try:
        row = [float(word) for word in words]
    except ValueError:
        return []
    return _boxed(row) if len(row) >= 7 and len(row) % 2 and all(map(math.isfinite, row)) else row


def _boxed(row: list[float]) -> list[float]:
    """`class x y x y x y …` as `class cx cy w h`. A point that is not in fractions makes a box that is not, either."""
    x0, y0, x1, y1 = edges_around(row[1:])
    return [row[0], (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]


def _line_fault(row: list[float], classes: int) -> str | None:
    if len(row) != 5:
        return "not five numbers"
    if not all(math.isfinite(value) for value in row):
        return "a number is not finite"
    if row[0] != int(row[0]) or not 0 <= row[0] < classes:
        return f"class is not in 0 … {classes - 1}"
    if not all(-TOLERANCE <= value <= 1 + TOLERANCE for value in row[1:]):
        return "box is not in fractions of the image (0 … 1)"
    if min(_visible(row[1], row[3]), _visible(row[2], row[4])) < SMALLEST:
        return "box has no area"
    return None


def _visible(centre: float, size: float) -> float:
    """How much of a side lies within the image; negative if nothing does."""
    return min(centre + size / 2, 1.0) - max(centre - size / 2, 0.0)
