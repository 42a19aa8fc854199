"""Small datasets on disk for the tests of conversion and checking."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from prune.darknet.datafile import DataFile, read_datafile
from prune.samples.read import Split, read_samples
from prune.samples.sample import SampleSet

NAMES = ("cat", "dog", "cow")


@dataclass(frozen=True)
class Thing:
    """An object: class, [left, top, width, height] in pixels, further keys of COCO's."""

    label: int
    box: tuple[float, float, float, float]
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """An image: file name, size, objects."""

    name: str
    size_wh: tuple[int, int]
    things: Sequence[Thing] = ()


def png_header(path: Path, size_wh: tuple[int, int]) -> None:
    """The beginning of a PNG of any size: enough to read its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">I4sIIBBBBB", 13, b"IHDR", *size_wh, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + b"\0" * 8)


def turned_jpeg(path: Path, stored_wh: tuple[int, int], flag: int = 6) -> Path:
    """A JPEG with an orientation flag (EXIF tag 0x112); 6 is a quarter turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((stored_wh[1], stored_wh[0], 3), 90, np.uint8))
    entry = struct.pack("<HHIHH", 0x112, 3, 1, flag, 0)
    body = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
    return path


def noise(seed: int, size_wh: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    """Pixels that differ between seeds."""
    return np.random.default_rng(seed).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)


def write_noise(path: Path, seed: int, size_wh: tuple[int, int] = (64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), noise(seed, size_wh))
    return path


def write_descriptor(folder: Path, lines: Sequence[str], names: Sequence[str] = NAMES) -> DataFile:
    """`set.data` and `set.names`."""
    (folder / "set.names").write_text("".join(f"{name}\n" for name in names))
    text = "\n".join([f"classes = {len(names)}", f"names = {folder}/set.names", *lines])
    (folder / "set.data").write_text(text + "\n")
    return read_datafile(folder / "set.data")


def write_coco(folder: Path, pictures: Sequence[Picture], split: Split = "train") -> DataFile:
    """A COCO dataset of one split, with category ids 3, 8, 13; the images are headers only."""
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, start=1):
        png_header(folder / "pics" / picture.name, picture.size_wh)
        for thing in picture.things:
            known = {"id": len(annotations) + 1, "image_id": number, "category_id": 3 + 5 * thing.label}
            area = thing.box[2] * thing.box[3]
            annotations.append(known | {"bbox": list(thing.box), "area": area, "iscrowd": 0} | thing.more)
    images = [
        {"id": number, "file_name": picture.name, "width": picture.size_wh[0], "height": picture.size_wh[1]}
        for number, picture in enumerate(pictures, start=1)
    ]
    categories = [{"id": 3 + 5 * label, "name": name, "supercategory": "animal"} for label, name in enumerate(NAMES)]
    content = {"images": images, "annotations": annotations, "categories": categories, "licenses": [{"id": 4}]}
    (folder / f"{split}.json").write_text(json.dumps(content))
    return write_descriptor(folder, [f"{split} = {folder}/{split}.json", f"{split}_images = {folder}/pics"])


def read(data: Path, split: Split = "train") -> SampleSet:
    return read_samples(read_datafile(data), split)
