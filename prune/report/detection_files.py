"""Detections as files: YOLO label lines, a COCO results file, and crops."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prune.detect.predict_settings import DetectSettings
from prune.files.writing import atomic_write
from prune.report.montage import write_picture
from prune.samples.boxes import Boxes, to_centres
from prune.samples.frames import Frame
from prune.samples.images import Image
from prune.samples.sources import Source

LABELS, CROPS, RESULTS = "labels", "crops", "detections.json"


def output_names(sources: Sequence[Source], settings: DetectSettings) -> list[str]:
    """What a DetectionWriter writes, relative to its folder; `crops` stands for all in it, a video's labels for their
    folder."""
    names = [source.picture_name for source in sources]
    if settings.save_txt:
        names += [f"{LABELS}/{source.key}{'' if source.video else '.txt'}" for source in sources]
    return names + [RESULTS] * settings.save_json + [CROPS] * settings.save_crop


def frame_name(frame: Frame) -> str:
    """The name of a frame's own files, without a suffix: its source's key, for a video with the frame's number."""
    return frame.source.key if frame.number is None else f"{frame.source.key}/{frame.number:06d}"


def label_lines(found: Boxes, size_wh: tuple[int, int]) -> str:
    """Detections (n, 6) as lines `class cx cy w h score`, fractions of an image of `size_wh`; a final newline."""
    fractions = to_centres(found[:, :4] / np.array((*size_wh, *size_wh), np.float64))
    rows = zip(found[:, 5], fractions, found[:, 4], strict=True)
    return "".join(f"{int(c)} {' '.join(f'{v:.6f}' for v in box)} {score:.6f}\n" for c, box, score in rows)


def write_labels(out: Path, frame: Frame, found: Boxes) -> Path:
    """Write `labels/NAME.txt`, empty where nothing was found: an image without objects."""
    path = out / LABELS / f"{frame_name(frame)}.txt"
    atomic_write(path, label_lines(found, frame.size_wh))
    return path


class Results:
    """Detections of all frames as a COCO results file: a list of entries, each with the file's name."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._entries: list[dict[str, Any]] = []
        self._frames = 0

    def add(self, frame: Frame, found: Boxes) -> None:
        """Add the detections (n, 6) of one more frame. Images are numbered from 1 in their order, categories are the
        class numbers plus 1, boxes [left, top, width, height] in pixels."""
        self._frames += 1
        place = {"image_id": self._frames, "file_name": frame.source.path.as_posix()}
        if frame.number is not None:
            place["frame"] = frame.number
        for x0, y0, x1, y1, score, label in found.tolist():
            box = [round(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)]
            name = self._names[int(label)]
            entry = {"category_id": int(label) + 1, "category": name, "bbox": box, "score": round(score, 6)}
            self._entries.append(place | entry)

    def write(self, path: Path) -> None:
        """Write them, one entry per line."""
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in self._entries)
        atomic_write(path, f"[\n{lines}\n]\n" if lines else "[]\n")


class Crops:
    """`crops/CLASS/NAME_001.jpg`: the content of each box, best first."""

    def __init__(self, out: Path, names: Sequence[str]) -> None:
        self._out = out / CROPS
        self._folders = class_folders(names)

    def write(self, frame: Frame, found: Boxes) -> list[Path]:
        """Write one crop per detection (n, 6); those of this frame from an earlier run are removed."""
        name = frame_name(frame)
        stale = re.compile(re.escape(Path(name).name) + r"_\d{3,}\.jpg")
        for folder in self._folders:
            parent = (self._out / folder / name).parent
            for path in parent.iterdir() if parent.is_dir() else ():
                if stale.fullmatch(path.name):
                    path.unlink()
        paths = []
        for number, row in enumerate(found, start=1):
            path = self._out / self._folders[int(row[5])] / f"{name}_{number:03d}.jpg"
            write_picture(path, crop(frame.image, row[:4]))
            paths.append(path)
        return paths


def crop(image: Image, edges: Boxes) -> Image:
    """The pixels that a box x0 y0 x1 y1 touches, at least one."""
    height, width = image.shape[:2]
    x0, y0 = min(int(edges[0]), width - 1), min(int(edges[1]), height - 1)
    x1, y1 = int(np.ceil(edges[2])), int(np.ceil(edges[3]))
    return image[max(y0, 0) : max(y1, y0 + 1), max(x0, 0) : max(x1, x0 + 1)]


def class_folders(names: Sequence[str]) -> tuple[str, ...]:
    """A folder name for each class: its name where the file system allows it and no other class gets the
    same, else with its number before it."""
    plain = [re.sub(r'[/\\:*?"<>|\x00-\x1f]', "_", name).strip(". ") for name in names]
    counts = Counter(name.casefold() for name in plain)
    folders: list[str] = []
    for number, name in enumerate(plain):
        folder = name if name and counts[name.casefold()] == 1 else f"{number}_{name}".rstrip("_")
        while counts[folder.casefold()] and folder != name:
            folder = f"{number}_{folder}"
        counts[folder.casefold()] += 1
        folders.append(folder)
    return tuple(folders)
