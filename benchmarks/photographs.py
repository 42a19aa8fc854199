"""A dataset of made-up photographs, JPEG files as large as a camera's small ones, for measurements of speed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

SIZE_WH = (640, 480)
OBJECTS = 8


def make_photographs(folder: Path, train: int, valid: int, classes: int, seed: int = 0) -> Path:
    """Write that many images with eight objects each, and their labels; returns the .data file."""
    rng = np.random.default_rng(seed)
    for name, count in {"train": train, "valid": valid}.items():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "labels").mkdir(exist_ok=True)
        stems = [f"{name}{number}" for number in range(count)]
        for stem in stems:
            _write(folder, stem, classes, rng)
        (folder / f"{name}.txt").write_text("".join(f"images/{stem}.jpg\n" for stem in stems))
    (folder / "a.names").write_text("".join(f"class{number}\n" for number in range(classes)))
    data = folder / "a.data"
    data.write_text(f"classes={classes}\ntrain=train.txt\nvalid=valid.txt\nnames=a.names\n")
    return data


def _write(folder: Path, stem: str, classes: int, rng: Generator) -> None:
    width, height = SIZE_WH
    rough = rng.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
    image = cv2.resize(rough, SIZE_WH, interpolation=cv2.INTER_CUBIC)
    lines = []
    for _ in range(OBJECTS):
        w, h = rng.integers(30, 200, 2)
        x, y = rng.integers(0, width - w), rng.integers(0, height - h)
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), rng.integers(0, 255, 3).tolist(), -1)
        centre = (x + w / 2) / width, (y + h / 2) / height
        lines.append(f"{rng.integers(classes)} {centre[0]:.6f} {centre[1]:.6f} {w / width:.6f} {h / height:.6f}\n")
    cv2.imwrite(str(folder / f"images/{stem}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    (folder / f"labels/{stem}.txt").write_text("".join(lines))
