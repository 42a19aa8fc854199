"""The Darknet source: a text list of images, each with a label file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np

from prune.errors import DataError
from prune.files.paths import candidates, find_path, spellings
from prune.files.reading import is_unicode, read_text
from prune.samples.issues import Issues
from prune.samples.labels import Labels, find_label, label_candidates, no_labels, read_labels
from prune.samples.sample import Sample, SampleSet

_SHORT = "has no line {}; it must name the images of 'valid', line by line"


def read_image_list(
    path: Path, names: tuple[str, ...], folders: Sequence[Path] = (), difficult: Path | None = None
) -> SampleSet:
    """Reads the images that the lines of `path` name, with their labels (see `labels.label_candidates`).

    A relative line is tried in the working directory (as Darknet does), in the list's own folder and in `folders`. A
    missing image is skipped, an image without a label file has no objects; both are counted. `difficult` is Darknet's
    list of the same images under another folder, whose labels contain the difficult objects. Lines written on Windows
    (`obj\\a.jpg`) are read, too. Raises DataError where no image is found, or no label at all.
    """
    faults, remarks = Issues(), Issues()
    found = list(_existing_images(path, (Path(), path.parent, *folders), faults))
    if not found:
        raise DataError(path, None, _no_image(path, faults))
    labelled = [find_label(image) for _, image in found]
    if not any(labelled):
        raise DataError(path, None, _no_label(found[0][1], len(found)))
    ids = _image_ids([image for _, image in found])
    samples = []
    for (_, image), label, image_id in zip(found, labelled, ids, strict=True):
        if label is None:
            faults.add("image without a label file, treated as having no objects", image)
        labels = read_labels(label, len(names), faults, remarks) if label else no_labels()
        samples.append(_sample(image, image_id, labels))
    if difficult is not None:
        samples = _with_difficult(samples, [line for line, _ in found], difficult, len(names), faults, remarks)
    return SampleSet(tuple(samples), names, "list", faults, remarks=remarks)


def list_lines(path: Path) -> list[tuple[int, str]]:
    """(line number from 1, text) of each line that is not blank. Raises DataError for a file without
    any."""
    text = read_text(path, DataError).removeprefix("\ufeff")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise DataError(path, None, "is empty; write one image per line")
    return lines


def _existing_images(path: Path, folders: Sequence[Path], faults: Issues) -> Iterator[tuple[int, Path]]:
    for number, line in list_lines(path):
        image = find_path(line, folders, os.path.isfile)
        if image is None:
            faults.add("listed image does not exist", f"{path}:{number}")
        else:
            yield number, image


def _image_ids(images: Sequence[Path]) -> list[str]:
    """File stems where these are unique, else whole paths (numbered where even these repeat)."""
    stems = [image.stem for image in images]
    if len(set(stems)) == len(stems):
        return stems
    paths = [str(image) for image in images]
    if len(set(paths)) == len(paths):
        return paths
    return [f"{path}#{number}" for number, path in enumerate(paths)]


def _sample(image: Path, image_id: str, labels: Labels) -> Sample:
    no = np.zeros(len(labels.classes), np.bool_)
    return Sample(image, labels.boxes, labels.classes, no, no, image_id, label_boxes=labels.unclipped)


def _with_difficult(
    samples: Sequence[Sample], line_numbers: Sequence[int], path: Path, classes: int, faults: Issues, remarks: Issues
) -> list[Sample]:
    """The samples with the difficult objects of Darknet's parallel list added, matched line by line. Raises DataError
    where it is too short, or leads to no label at all."""
    by_line = dict(list_lines(path))
    extended, missing = [], 0
    for sample, number in zip(samples, line_numbers, strict=True):
        if number not in by_line:
            raise DataError(path, None, _SHORT.format(number))
        named = PurePath(spellings(by_line[number])[-1]).stem
        if named != sample.image.stem:
            problem = f"names {named}, but the same line of the images names {sample.image.stem}"
            raise DataError(path, number, f"{problem}; both must list the same images in the same order")
        label = _parallel_label(by_line[number], path.parent)
        if label is None:
            missing += 1
            faults.add("no label file of difficult objects", f"{path}:{number}")
        labels = read_labels(label, classes, faults, remarks) if label else no_labels()
        extended.append(_add_difficult(sample, labels))
    if missing == len(samples):
        message = f"none of its {missing} lines leads to a label file (first: '{by_line[line_numbers[0]]}')"
        raise DataError(path, line_numbers[0], f"{message}; correct the paths")
    return extended


def _parallel_label(line: str, folder: Path) -> Path | None:
    """The label of an image that need not exist, relative to the working directory or to its list's folder."""
    return next(filter(None, map(find_label, candidates(line, (Path(), folder)))), None)


def _add_difficult(sample: Sample, labels: Labels) -> Sample:
    count = len(labels.classes)
    yes, no = np.ones(count, np.bool_), np.zeros(count, np.bool_)
    assert sample.label_boxes is not None, "a list's samples come from label files"
    return replace(
        sample,
        boxes=np.concatenate((sample.boxes, labels.boxes)),
        classes=np.concatenate((sample.classes, labels.classes)),
        label_boxes=np.concatenate((sample.label_boxes, labels.unclipped)),
        difficult=np.concatenate((sample.difficult, yes)),
        crowd=np.concatenate((sample.crowd, no)),
    )


def _no_image(path: Path, faults: Issues) -> str:
    first = list_lines(path)[0][1]
    correct = "correct the paths" if is_unicode(first) else "correct the paths, or save the list as UTF-8"
    return f"none of the {faults.total} listed images exists (first: '{first[:200]}'); {correct}"


def _no_label(image: Path, count: int) -> str:
    tried = ", ".join(str(candidate) for candidate in label_candidates(image))
    return f"none of the {count} images has a label file (tried for the first: {tried}); put them there"
