"""Small datasets on disk for the tests of their readers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from prune.darknet.datafile import DataFile, read_datafile


def write_image(path: Path, size_wh: tuple[int, int] = (40, 20)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size_wh[1], size_wh[0], 3), 90, np.uint8))
    return path


def write_data(folder: Path, train: str, names: str = "cat dog", extra: str = "") -> DataFile:
    words = names.split()
    (folder / "set.names").write_text("\n".join(words))
    (folder / "set.data").write_text(f"classes={len(words)}\nnames=set.names\ntrain={train}\n{extra}")
    return read_datafile(folder / "set.data")
