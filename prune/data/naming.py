"""File names for images from many folders in one folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from prune.files.reading import is_unicode
from prune.samples.images import image_suffix, is_image_name


def unique_names(images: Sequence[Path]) -> list[str]:
    """One file name per image, no two with the same stem (labels are identified by stems, on some file systems
    without regard to case).

    An image keeps its name where no earlier one has it. Otherwise its folders are put before it, as many as
    necessary, then a number. Blanks become underscores: a VOC list ends an id at the first one. A file that lists and
    readers would not recognise as an image (`.jfif`, no suffix) gets the suffix of its content, and bytes that are not
    UTF-8 become letters, as XML and JSON require.
    """
    taken: set[str] = set()
    names = []
    for image in map(_encodable, images):
        name = next(name for name in _candidates(image) if _key(name) not in taken)
        taken.add(_key(name))
        names.append(name)
    return names


def _encodable(image: Path) -> Path:
    path = Path(os.fsencode(image).decode("latin-1")) if not is_unicode(str(image)) else image
    return path if is_image_name(path.name) else path.with_name(f"{path.name}{image_suffix(image) or ''}")


def _key(name: str) -> str:
    return Path(name).stem.casefold()


def _candidates(image: Path) -> Iterator[str]:
    parts = ["_".join(part.split()) for part in image.parts if part != image.anchor]
    for length in range(1, len(parts) + 1):
        yield "-".join(parts[-length:])
    stem = "_".join(image.stem.split())
    yield from (f"{stem}-{number}{image.suffix}" for number in count(2))
