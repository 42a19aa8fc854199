"""Make the demo dataset: circles, rectangles and triangles on textured, noisy backgrounds.

    python data/make_shapes.py --out data/shapes --train 400 --valid 120 --size 160 --seed 0

writes `images/{train,valid}/*.jpg`, `labels/{train,valid}/*.txt` (class cx cy w h, normalised to the
image), the lists `train.txt` and `valid.txt` (absolute paths), `shapes.names` and `shapes.data` into
`--out`. Every image depends on the seed, its split and its number only, so a larger set contains the
smaller one. A complete set that was made with the same settings is kept; a new one is
made in a temporary folder beside it and renamed. Needs numpy and OpenCV; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
from shape_pictures import NAMES, Picture, draw_picture

SPLITS = ("train", "valid")
RECIPE = 1  # raise it when the drawing changes: older sets are then made again
STAMP = "settings.json"
JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a set: numbers of images, their side in pixels, the seed."""

    train: int = 400
    valid: int = 120
    size: int = 160
    seed: int = 0

    def __post_init__(self) -> None:
        if self.train < 1 or self.valid < 1 or self.size < 32 or self.seed < 0:
            raise ValueError("--train and --valid must be at least 1, --size at least 32, --seed at least 0")

    def count(self, split: str) -> int:
        return self.train if split == "train" else self.valid


def format_label(picture: Picture) -> str:
    """The label file: one line `class cx cy w h` per shape, normalised to the image."""
    height, width = picture.image.shape[:2]
    lines = []
    for kind, (left, top, right, bottom) in zip(picture.classes, picture.boxes, strict=True):
        values = (
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        )
        lines.append(f"{kind} " + " ".join(f"{value:.6f}" for value in values))
    return "\n".join(lines) + "\n"


def _pictures(settings: Settings, split: str) -> Iterator[tuple[str, Picture]]:
    """Name without suffix and picture, for every image of the split."""
    for number in range(settings.count(split)):
        rng = np.random.default_rng([settings.seed, SPLITS.index(split), number])
        yield f"{split}-{number:05d}", draw_picture(settings.size, rng)


def _write_split(folder: Path, final: Path, settings: Settings, split: str) -> None:
    """Write the images, labels and list of one split into `folder`; its list names them as in `final`."""
    images, labels = folder / "images" / split, folder / "labels" / split
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    listed = []
    for name, picture in _pictures(settings, split):
        done, data = cv2.imencode(".jpg", picture.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise OSError(f"OpenCV could not encode {name}.jpg")
        (images / f"{name}.jpg").write_bytes(data.tobytes())
        (labels / f"{name}.txt").write_text(format_label(picture), encoding="utf-8")
        listed.append(str(final / "images" / split / f"{name}.jpg"))
    (folder / f"{split}.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")


def _stamp(settings: Settings, out: Path) -> str:
    # The lists contain absolute paths, so a folder that was moved is another set.
    return json.dumps({"recipe": RECIPE, "out": str(out), **asdict(settings)}, indent=2) + "\n"


def is_complete(out: Path, settings: Settings) -> bool:
    """Whether `out` (absolute) contains the complete set of these settings, made by this recipe."""
    stamp = out / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != _stamp(settings, out):
        return False
    return all(
        len(list((out / "images" / split).glob("*.jpg"))) == settings.count(split)
        and len(list((out / "labels" / split).glob("*.txt"))) == settings.count(split)
        for split in SPLITS
    )


def make_shapes(out: Path, settings: Settings) -> bool:
    """Make the set in folder `out`; returns False if it exists already.

    Raises FileExistsError if `out` was not made by this script.
    """
    out = out.resolve()
    if is_complete(out, settings):
        return False
    if out.exists() and any(out.iterdir()) and not (out / STAMP).is_file():
        raise FileExistsError(f"{out} exists and does not contain a shapes dataset: choose another --out, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        made = Path(scratch) / "set"
        made.mkdir()
        for split in SPLITS:
            _write_split(made, out, settings, split)
        _write_descriptors(made, settings, out)
        if out.exists():
            shutil.rmtree(out)
        os.replace(made, out)
    return True


def _write_descriptors(folder: Path, settings: Settings, final: Path) -> None:
    (folder / "shapes.names").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    lines = (f"classes = {len(NAMES)}", "train = train.txt", "valid = valid.txt", "names = shapes.names")
    (folder / "shapes.data").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / STAMP).write_text(_stamp(settings, final), encoding="utf-8")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help explains the flags)\n")


def parse_arguments(argv: list[str] | None = None) -> tuple[Path, Settings]:
    """`--out` and the settings; ends the process with exit code 2 on wrong usage."""
    parser = _Parser(
        description="Make the demo dataset of three shapes.",
        epilog="example: %(prog)s --out data/shapes --train 400 --valid 120",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, default=Path("data/shapes"), help="folder of the set")
    parser.add_argument("--train", type=int, default=400, help="images to train on")
    parser.add_argument("--valid", type=int, default=120, help="images to evaluate with")
    parser.add_argument("--size", type=int, default=160, help="width and height in pixels")
    parser.add_argument("--seed", type=int, default=0, help="other seeds give other images")
    args = parser.parse_args(argv)
    try:
        return args.out, Settings(args.train, args.valid, args.size, args.seed)
    except ValueError as error:
        parser.error(str(error))


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (0 done, 1 failed, 2 wrong usage)."""
    out, settings = parse_arguments(argv)
    try:
        made = make_shapes(out, settings)
    except FileExistsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    state = "made" if made else "already complete:"
    print(f"{state} {settings.train} + {settings.valid} images of {settings.size} px; use {out / 'shapes.data'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
