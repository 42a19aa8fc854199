"""Converts a dataset from one format to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from prune.darknet.datafile import DataFile
from prune.data.choice import Choice, choose
from prune.data.coco_out import write_coco
from prune.data.darknet_out import labelable, write_darknet
from prune.data.staging import staged_folder
from prune.data.target import Handling, Item, Target, items_of
from prune.data.voc_out import write_voc
from prune.errors import DataError, UsageError
from prune.samples.issues import Issues
from prune.samples.read import SPLITS, Split, read_samples
from prune.samples.sample import SampleSet
from prune.settings import option

_IMAGE_FOLDERS = frozenset({"images", "JPEGImages"})
Format = Literal["coco", "voc", "darknet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertSettings:
    """What is converted, and to which format."""

    to: Format = field(metadata={"help": "the format to write: coco, voc or darknet"})
    split: Literal["train", "valid", "both"] = option("both", "which splits (both: all that the .data file names)")
    images: Handling = option("link", "link: make symbolic links to the images; copy: copy them")


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """The result of a conversion: the `.data` file to use, the counts of each split, what was skipped as faulty while
    reading (`faults`), what was left out or changed (`notes`), and all `files` that were written: the SHA-256, or the
    target of a link, by their names in the folder."""

    data: Path
    counts: Mapping[Split, Mapping[str, int]]
    faults: Issues
    notes: Issues
    files: Mapping[str, str]

    def facts(self) -> dict[str, Any]:
        """The fields of summary.json."""
        return {
            "data": self.data,
            "splits": {split: dict(counts) for split, counts in self.counts.items()},
            "skipped": self.faults.counts,
            "notes": self.notes.counts,
            "files": dict(self.files),
        }


Seal = Callable[[Conversion, Path], None]


def convert(
    datafile: DataFile,
    settings: ConvertSettings,
    choice: Choice,
    out: Path,
    overwrite: bool = False,
    seal: Seal = lambda done, folder: None,
) -> Conversion:
    """Reads the splits of `datafile` and writes them, with a new `.data` file, into the folder `out`, which appears
    whole or not at all; `overwrite`: it replaces an earlier conversion. `seal` may add a summary to the folder before
    that. Paths in the files are absolute, so that they are valid in every working directory, for Darknet too. The
    inputs are only read.

    Raises DataError where a split cannot be read, UsageError for a class or a split that does not exist, or where `out`
    contains an input.
    """
    out = out.absolute()
    if settings.to == "darknet" and not _IMAGE_FOLDERS.isdisjoint(out.parts):
        problem = "is inside a folder named images, whose label files are searched for in labels"
        raise UsageError(f"--out {out}: {problem}; choose another")
    faults, notes = Issues(), Issues()
    sets = {}
    for split in _splits(datafile, settings.split):
        found = read_samples(datafile, split)
        faults.merge(found.faults)
        notes.merge(found.remarks)
        _refuse_inputs(out, (datafile.path, datafile.require(split), *(sample.image for sample in found.samples)))
        sets[split] = choose(found, choice, notes)
    with staged_folder(out, overwrite) as staging:
        target = Target(staging, out, settings.images, notes)
        data, counts = _write(datafile, sets, settings.to, target)
        done = Conversion(data, counts, faults, notes, target.files)
        seal(done, staging)
    return done


def _splits(datafile: DataFile, wanted: str) -> list[Split]:
    splits = [split for split in SPLITS if wanted in (split, "both") and split in datafile.entries]
    if not splits:
        key = "train' or 'valid" if wanted == "both" else wanted
        raise DataError(datafile.path, None, f"has no '{key} = ...' line; add one")
    return splits


def _refuse_inputs(out: Path, inputs: Sequence[Path]) -> None:
    for path in inputs:
        if path.resolve().is_relative_to(out.resolve()):
            raise UsageError(f"{out}: contains {path}, an input of this command; choose another --out")


def _write(
    datafile: DataFile, sets: Mapping[Split, SampleSet], to: Format, target: Target
) -> tuple[Path, dict[Split, dict[str, int]]]:
    lines, counts = dict[str, str](), dict[Split, dict[str, int]]()
    for split, found in items_of(sets, to == "voc", target.notes).items():
        items = labelable(found, target.notes) if to == "darknet" else found
        lines |= _write_split(split, items, sets[split], to, target)
        counts[split] = _counts(items)
    stem = datafile.path.stem
    names = next(iter(sets.values())).names
    lines["names"] = str(target.write(f"{stem}.names", "".join(f"{name}\n" for name in names)))
    text = f"classes = {len(names)}\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())
    return target.write(f"{stem}.data", text), counts


def _write_split(split: Split, items: Sequence[Item], found: SampleSet, to: Format, target: Target) -> dict[str, str]:
    if not items:
        raise UsageError(f"{split}: no image is left; keep more classes or images")
    if to == "coco":
        return write_coco(split, items, found, target)
    if to == "voc":
        return write_voc(split, items, found.names, target)
    return write_darknet(split, items, target)


def _counts(items: Sequence[Item]) -> dict[str, int]:
    samples = [item.sample for item in items]
    return {
        "images": len(samples),
        "objects": sum(len(sample.classes) for sample in samples),
        "difficult": sum(int(sample.difficult.sum()) for sample in samples),
        "crowd": sum(int(sample.crowd.sum()) for sample in samples),
    }
