"""The folder that a conversion writes, and the images in it."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from prune.data.manifest import link_entry
from prune.data.naming import unique_names
from prune.errors import UsageError
from prune.files.writing import encode_text, naming
from prune.samples.boxes import Boxes
from prune.samples.images import decode_fault, image_size
from prune.samples.issues import Issues
from prune.samples.read import Split
from prune.samples.sample import Sample, SampleSet

Handling = Literal["link", "copy"]


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A sample to be written: `name` is its image's file name in the target, `size_wh` the size its boxes were
    annotated on, `stored_wh` that of the image file (a camera's orientation flag ignored); both in pixels.
    `source`: "list", "coco" or "voc", its origin."""

    sample: Sample
    source: str
    name: str
    size_wh: tuple[int, int]
    stored_wh: tuple[int, int]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    @property
    def turned(self) -> bool:
        """Whether the annotation was made on the image rotated by its orientation flag."""
        return self.size_wh != self.stored_wh and self.size_wh == self.stored_wh[::-1]

    def edges(self, size_wh: tuple[int, int]) -> Boxes:
        """(n, 4) x0, y0, x1, y1 in pixels of the image at `size_wh`, counted from 0, unclipped."""
        scale = np.array((*size_wh, *size_wh), np.float64) / np.array((*self.size_wh, *self.size_wh), np.float64)
        return np.asarray(self.sample.pixel_edges(self.size_wh) * scale)


@dataclass(frozen=True, slots=True)
class Target:
    """Files are written into `staging`, but refer to `final`, which it becomes. `notes` counts what the target's format
    cannot express; `files` lists what was written."""

    staging: Path
    final: Path
    images: Handling
    notes: Issues
    files: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        """Writes `staging/name`; returns `final/name`."""
        content = encode_text(text)
        with self._writing(name) as path:
            path.write_bytes(content)
        self.files[name] = hashlib.sha256(content).hexdigest()
        return self.final / name

    def put_image(self, image: Path, name: str) -> Path:
        """Links or copies `image` to `staging/name`; returns `final/name`."""
        if self.images == "link":
            with self._writing(name) as path:
                _link(image.resolve(), path)
            self.files[name] = link_entry(image.resolve())
        else:
            with image.open("rb") as source, self._writing(name) as path:
                self.files[name] = _copy(source, path)
        return self.final / name

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        """The path of a file to be written; an OSError (a full disk) names the final path."""
        path = self.staging / name
        with naming(self.final / name, unless_named=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield path


def _copy(source: BinaryIO, path: Path) -> str:
    """Copies a file's bytes; returns their SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while block := source.read(1 << 20):
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def _link(image: Path, path: Path) -> None:
    try:
        os.symlink(image, path)
    except OSError as cause:
        if cause.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise UsageError(f"{path.parent}: symbolic links cannot be made there; pass --images copy") from cause


def items_of(sets: Mapping[Split, SampleSet], together: bool, notes: Issues) -> dict[Split, list[Item]]:
    """The samples of each split as items. `together`: the splits share a folder, so names are unique across
    them. Images that cannot be read are counted in `notes`."""
    groups = [list(sets)] if together else [[split] for split in sets]
    named: dict[Split, list[Item]] = {}
    for splits in groups:
        names = iter(unique_names([sample.image for split in splits for sample in sets[split].samples]))
        for split in splits:
            named[split] = _items(sets[split], [next(names) for _ in sets[split].samples], notes)
    return named


def _items(found: SampleSet, names: Sequence[str], notes: Issues) -> list[Item]:
    items = []
    for sample, name in zip(found.samples, names, strict=True):
        stored = image_size(sample.image)
        if stored is None:
            notes.add(decode_fault(sample.image, "image cannot be decoded, left out"), sample.image)
        else:
            items.append(Item(sample, found.source, name, sample.size_wh or stored, stored))
    return items
