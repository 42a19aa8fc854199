"""Writing Darknet's own layout: lists of images, and a label file beside each image.

Beside the image is where Darknet looks for a label that lies below none of its known folders, and where YOLO
tools look below no folder `images` (`convert` writes below none).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.data.target import Item, Target
from prune.samples.boxes import Boxes, clip_edges, to_centres
from prune.samples.faults import Faults
from prune.samples.read import Split

SMALLEST = 2e-6
"""The least side of a box, as a fraction of the image: readers take less for no box at all."""
TURNED = (
    "image left out: its boxes are those of the picture as its camera's orientation flag turns it, which labels "
    "cannot say; store it upright"
)
CROWD = "crowd region kept as a difficult object: labels know no crowds"


def write_darknet(split: Split, items: Sequence[Item], target: Target) -> dict[str, str]:
    """Writes SPLIT.txt and SPLIT/IMAGE with SPLIT/LABEL.txt; returns the lines of the `.data` file.

    Difficult objects and crowds go into labels of their own, below difficult/, as Darknet's `difficult=` has it:
    they are neither trained on nor counted. (Darknet reads it for `valid`; `train_difficult` is ours.)
    """
    images, ignored = [], []
    for item in items:
        sample = item.sample
        for _ in range(int(sample.crowd.sum())):
            target.notes.add(CROWD, sample.image)
        images.append(target.put_image(sample.image, f"{split}/{item.name}"))
        apart = sample.difficult | sample.crowd
        target.write(f"{split}/{item.stem}.txt", label_text(item, ~apart))
        ignored.append((f"difficult/{split}/{item.stem}.txt", label_text(item, apart)))
    lines: dict[str, str] = {split: str(target.write(f"{split}.txt", _lines(images)))}
    if any(text for _, text in ignored):
        for name, text in ignored:
            target.write(name, text)
        parallel = [target.final / "difficult" / split / image.name for image in images]
        key = "difficult" if split == "valid" else "train_difficult"
        lines[key] = str(target.write(f"difficult_{split}.txt", _lines(parallel)))
    return lines


def labelable(items: Sequence[Item], notes: Faults) -> list[Item]:
    """The items that label files can describe; the others are counted."""
    for item in items:
        if item.turned:
            notes.add(TURNED, item.sample.image)
    return [item for item in items if not item.turned]


def label_text(item: Item, chosen: NDArray[np.bool_]) -> str:
    """The chosen objects as lines `class cx cy w h` in fractions of the image, with eight decimals (Darknet's own
    six are a hundredth of a pixel off on large pictures)."""
    boxes = fractions(item)[chosen]
    rows = zip(item.sample.classes[chosen], boxes, strict=True)
    return "".join(f"{label} {' '.join(_number(value) for value in box)}\n" for label, box in rows)


def fractions(item: Item) -> Boxes:
    """(n, 4) cx, cy, w, h as fractions of the image, clipped to it."""
    width, height = item.size_wh
    edges = clip_edges(item.edges(item.size_wh), item.size_wh) / np.array((width, height, width, height), np.float64)
    boxes = to_centres(edges)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], SMALLEST)
    return boxes


def _number(value: float) -> str:
    return f"{value:.8f}".rstrip("0").rstrip(".")


def _lines(paths: Sequence[Any]) -> str:
    return "".join(f"{path}\n" for path in paths)
