"""COCO results files: what a network found, in the ids of an annotation file."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.errors import DataError
from prune.files.paths import spellings
from prune.files.reading import read_json
from prune.files.writing import atomic_write
from prune.metrics.detections import Detected
from prune.samples.coco_boxes import finite, finite_list
from prune.samples.ids import Ids, number_id
from prune.samples.images import decode_fault, image_size, none_decodes
from prune.samples.issues import Issues
from prune.samples.sample import SampleSet, in_fractions

Floats = NDArray[np.float64]
logger = logging.getLogger(__name__)
FRACTIONS = "every box lies within the first pixel: are they in fractions of the image? A results file has pixels"
_WANTED = "a COCO results file is a list of {image_id, category_id, bbox, score}"


def results_categories(samples: SampleSet) -> tuple[int, ...]:
    """The category id of each class: a COCO source's own (-1 for a class without one), else counted from 1."""
    return samples.category_ids or tuple(range(1, len(samples.names) + 1))


def results_entries(
    detections: Sequence[Floats], image_ids: Sequence[int | str], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Detections per image, (n, 6) x0 y0 x1 y1 in pixels, score, class, as entries of a COCO results file.

    `category_ids[c]` is the id of class c; detections of a class without one (below 0) are left out, with a warning.
    Boxes are rounded to 1e-3 pixels.
    """
    entries, left_out = [], 0
    for image_id, found in zip(image_ids, detections, strict=True):
        for x0, y0, x1, y1, score, label in found[:, :6].tolist():
            if category_ids[int(label)] < 0:
                left_out += 1
                continue
            box = [round(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)]
            category = int(category_ids[int(label)])
            entries.append({"image_id": image_id, "category_id": category, "bbox": box, "score": round(score, 6)})
    if left_out:
        logger.warning("%d detections of classes that the annotations have no category for are left out", left_out)
    return entries


def write_results(path: Path | str, entries: Sequence[dict[str, Any]]) -> None:
    """Write a COCO results file."""
    atomic_write(path, json.dumps(list(entries)))


def read_results(path: Path, samples: SampleSet) -> tuple[list[Detected], Issues]:
    """The detections of a COCO results file in the images of a set, in its order, each image's by falling score; and
    the images that cannot be read, which are left out. Images without an entry have no detections.

    Ids are compared by their number (`ids.Ids`): where a set names images by their files, `000012` is also known as
    12, as tools that want numbers write it. Categories have the ids of `results_categories`. Raises DataError where
    the file is not one, or an entry has a fault or belongs to an image or a category that the set does not have.
    """
    entries = _load(path)
    ids = Ids((sample.image_id, place) for place, sample in enumerate(samples.samples))
    places = [ids.find(entry.get("image_id")) for entry in entries]
    at = np.array(_without_strangers(path, entries, places, samples), np.int64)
    classes = {category: label for label, category in enumerate(results_categories(samples)) if category >= 0}
    rows = [_row(path, number, entry, classes) for number, entry in enumerate(entries, start=1)]
    found = np.array(rows, np.float64).reshape(-1, 6)
    order = np.lexsort((np.arange(len(at)), -found[:, 4], at))
    parts = np.split(found[order], np.searchsorted(at[order], np.arange(1, len(samples))))
    return _in_images(path, samples, parts)


def _load(path: Path) -> list[Mapping[str, Any]]:
    data = read_json(path)
    if isinstance(data, dict) and "annotations" in data:
        raise DataError(path, None, f"is an annotation file; {_WANTED}: give the network's detections")
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise DataError(path, None, f"is not a list of objects; {_WANTED}")
    return data


def _without_strangers(
    path: Path, entries: Sequence[Mapping[str, Any]], places: Sequence[int | None], samples: SampleSet
) -> list[int]:
    """Where in the set the image of each entry is. Raises DataError where one is not there, or has another name."""
    strangers = [number for number, place in enumerate(places, start=1) if place is None]
    if strangers:
        first = strangers[0]
        raise DataError(
            path,
            None,
            f"{len(strangers)} of {len(entries)} results are for images that are not in the set "
            f"(the first, entry {first}: image_id {_short(entries[first - 1].get('image_id'))}; "
            f"the set's {len(samples)} begin with {samples.samples[0].image_id!r}{_skipped(samples)}); "
            "evaluate on the data that the results were made from",
        )
    known = [place for place in places if place is not None]
    for number, (entry, place) in enumerate(zip(entries, known, strict=True), start=1):
        own = samples.samples[place].image.name
        named = Path(spellings(str(entry.get("file_name", own)))[-1]).name
        if named != own:
            problem = f"image_id {_short(entry['image_id'])} is {own} in the set, but the entry names {named}"
            raise DataError(
                path, None, f"entry {number}: {problem}; evaluate on the data that the results were made from"
            )
    return known


def _short(value: object) -> str:
    return repr(value)[:80]


def _skipped(samples: SampleSet) -> str:
    """What was left out of the set, a possible reason."""
    return "".join(f"; {line}" for line in samples.faults.lines())


def _row(path: Path, number: int, entry: Mapping[str, Any], classes: Mapping[int, int]) -> list[float]:
    """x0 y0 x1 y1 in pixels, score, class."""
    box, score, category = entry.get("bbox"), entry.get("score"), number_id(entry.get("category_id"))
    sides = finite_list(box)
    if sides is None or len(sides) != 4 or min(sides[2:]) < 0:
        problem = f"bbox must be x, y, width and height in pixels, but is {str(box)[:80]}"
        raise DataError(path, None, f"entry {number}: {problem}; correct the file")
    if (confidence := finite(score)) is None:
        problem = f"score must be a number, but is {str(score)[:80]}"
        raise DataError(path, None, f"entry {number}: {problem}; correct the file")
    label = None if category is None else classes.get(category)
    if label is None:
        known = ", ".join(map(str, list(classes)[:5])) + (", …" if len(classes) > 5 else "")
        problem = f"entry {number}: category_id {_short(entry.get('category_id'))} is not one of the set's ({known})"
        raise DataError(path, None, f"{problem}; evaluate on the data that the results were made from")
    x, y, width, height = sides
    return [x, y, x + width, y + height, confidence, label]


def _in_images(path: Path, samples: SampleSet, parts: Sequence[Floats]) -> tuple[list[Detected], Issues]:
    detected, faults = [], Issues()
    for sample, found in zip(samples.samples, parts, strict=True):
        size = sample.size_wh or image_size(sample.image)
        if size is None:
            faults.add(decode_fault(sample.image), sample.image)
        else:
            detected.append(Detected(sample, size, found))
    if not detected:
        raise DataError(samples.samples[0].image, None, none_decodes(samples.samples[0].image))
    boxes = [(tuple(box), image.size_wh) for image in detected for box in image.found[:, :4].tolist()]
    if boxes and all(in_fractions(box, size) for box, size in boxes):
        faults.add(FRACTIONS, path)
    return detected, faults
