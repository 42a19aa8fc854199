"""Writing Darknet's own layout: lists of images, and a label file beside each image.

Darknet searches for the label beside the image unless that is in one of its known folders, and YOLO tools unless it is
in a folder `images` (`convert` writes into none of these).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.data.target import Item, Target
from prune.samples.boxes import Boxes, clip_edges, to_centres
from prune.samples.issues import Issues
from prune.samples.read import Split

SMALLEST = 2e-6
"""The least side of a box, as a fraction of the image: readers skip smaller boxes."""
TURNED = (
    "image left out: its boxes are those of the image as its camera's orientation flag rotates it, which labels "
    "cannot express; store it upright"
)
CROWD = "crowd region kept as a difficult object: labels have no crowds"


def write_darknet(split: Split, items: Sequence[Item], target: Target) -> dict[str, str]:
    """Writes SPLIT.txt and SPLIT/IMAGE with SPLIT/LABEL.txt; returns the lines of the `.data` file.

    Difficult objects and crowds get separate labels in difficult/, which Darknet's `difficult=` names: they are neither
    trained on nor counted. (Darknet reads that for `valid`; `train_difficult` is a key of this project.)
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


def labelable(items: Sequence[Item], notes: Issues) -> list[Item]:
    """The items that label files can describe; the others are counted."""
    for item in items:
        if item.turned:
            notes.add(TURNED, item.sample.image)
    return [item for item in items if not item.turned]


def label_text(item: Item, chosen: NDArray[np.bool_]) -> str:
    """The chosen objects as lines `class cx cy w h` in fractions of the image, with eight decimals (Darknet's own
    six are a hundredth of a pixel off on large images)."""
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
