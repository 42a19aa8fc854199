"""Reads the images and objects of one split of a `.data` file, whatever the source."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from prune.darknet.datafile import DataFile
from prune.errors import DataError
from prune.samples.coco_json import read_coco
from prune.samples.image_list import list_lines, read_image_list
from prune.samples.images import is_image_name
from prune.samples.sample import SampleSet
from prune.samples.voc_xml import read_voc, voc_root

Split = Literal["train", "valid"]
SPLITS: tuple[Split, ...] = get_args(Split)


def read_samples(datafile: DataFile, split: Split) -> SampleSet:
    """The images and objects of a split. The source depends on what `train`/`valid` points to:

    - a `.json` file: COCO instances; the folder of the images is `train_images`/`valid_images`;
    - a text file whose first line has an image suffix: Darknet's list;
    - a text file of ids with `Annotations/` and `JPEGImages/` in a folder above it: a VOC image set.

    What is skipped on the way is counted in `SampleSet.faults`. Raises DataError for anything else and where
    no image is usable.
    """
    path = datafile.require(split)
    if path.is_dir():
        raise DataError(datafile.path, datafile.line_of(split), _folder_message(split, path))
    if path.suffix.lower() == ".json":
        return read_coco(path, datafile.names, _image_folder(datafile, split))
    number, line = list_lines(path)[0]
    if is_image_name(line):
        return read_image_list(path, datafile.names, (datafile.path.parent,), _difficult_list(datafile, split))
    root = voc_root(path)
    if root is None:
        raise DataError(path, number, _unknown_line(line))
    return read_voc(path, datafile.names, root)


def _difficult_list(datafile: DataFile, split: Split) -> Path | None:
    """The list of the difficult objects: Darknet has one for `valid`, ours also for `train`."""
    key = "difficult" if split == "valid" else "train_difficult"
    return datafile.require(key) if key in datafile.entries else None


def _image_folder(datafile: DataFile, split: Split) -> Path:
    folder = datafile.require(f"{split}_images")
    if not folder.is_dir():
        line = datafile.line_of(f"{split}_images")
        raise DataError(datafile.path, line, f"{split}_images: '{folder}' must be the folder of the images")
    return folder


def _folder_message(split: Split, path: Path) -> str:
    return f"{split}: '{path}' is a folder; use a text list of images, a COCO JSON or a VOC image-set list"


def _unknown_line(line: str) -> str:
    problem = f"'{line[:60]}' has no image suffix, so this is not a list of images"
    return f"{problem}; and without Annotations/ and JPEGImages/ above it, it is not a VOC image set; correct it"
