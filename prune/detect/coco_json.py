"""The COCO source: one JSON of images, annotations and categories."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prune.darknet.files import read_json
from prune.detect.faults import Faults
from prune.detect.images import image_size, is_turned
from prune.detect.sample import Annotation, Sample, SampleSet, pixel_fault, sample_from_pixels
from prune.errors import DataError

_log = logging.getLogger(__name__)

Record = Mapping[str, Any]
_Placed = tuple[int, Record]
"""An annotation and its place (from 0) in the JSON's list."""
_LARGEST = 1 << 31


def read_coco(path: Path, names: tuple[str, ...], images: Path) -> SampleSet:
    """Reads a COCO instances JSON whose `file_name`s lie in the folder `images`.

    `iscrowd` objects are kept and marked, and so are those with `difficult` (no key of COCO's: `prune.convert`
    keeps VOC's flag there). Missing images, objects of unknown categories and faulty boxes are
    skipped and counted. Raises DataError where the JSON is none, its categories do not map to `names`
    (`class_ids`), or no image is usable. A class without a category gets the category id -1.
    """
    data = load_instances(path)
    mapping = class_ids(data["categories"], names, path)
    faults = Faults()
    by_image: defaultdict[int | str | None, list[_Placed]] = defaultdict(list)
    for placed in _without_strangers(data, mapping, path, faults):
        by_image[image_key(placed[1].get("image_id"))].append(placed)
    samples: dict[int | str, Sample] = {}
    for record in data["images"]:
        image_id = image_key(record.get("id"))
        if image_id in samples:
            faults.add("image record skipped, its id was there before", f"{path} (image {image_id})")
            continue
        sample = _sample(record, by_image[image_id], images, mapping, faults)
        if sample is not None:
            samples[sample.image_id] = sample
    held = {image_key(record.get("id")) for record in data["images"]} - {None}
    for image_id, orphans in by_image.items():
        for _, orphan in orphans if image_id not in held else ():
            faults.add("annotation of an image the JSON does not hold", _place(path, orphan))
    if not samples:
        raise DataError(path, None, f"no usable image in {images}: {'; '.join(faults.lines())}")
    categories = {class_id: category for category, class_id in mapping.items()}
    ids = tuple(categories.get(class_id, -1) for class_id in range(len(names)))
    return SampleSet(tuple(samples.values()), names, "coco", faults, ids, path)


def load_instances(path: Path) -> dict[str, Any]:
    """The parsed JSON, checked to hold lists of objects under `images`, `annotations` and `categories`."""
    data = read_json(path)
    for key in ("images", "annotations", "categories"):
        records = data.get(key) if isinstance(data, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise DataError(path, None, f"holds no list of objects under '{key}'; give a COCO instances JSON")
    return dict(data)


def class_ids(categories: Sequence[Record], names: Sequence[str], path: Path) -> dict[int, int]:
    """Category id → class.

    Where the counts agree, in the order of the ids: the usual coco.names spells six of COCO's differently.
    (Should both hold exactly the same names in another order, the names decide.) Else by name, when one side
    holds all names of the other. Raises DataError for anything else.
    """
    try:
        by_id = {int(category["id"]): str(category["name"]) for category in categories}
    except (KeyError, TypeError, ValueError, OverflowError) as cause:
        raise DataError(path, None, "a category has no numeric 'id' or no 'name'; add it") from cause
    spelled = [by_id[category_id] for category_id in sorted(by_id)]
    same_names = set(spelled) == set(names)
    if len(by_id) == len(names) and not same_names:
        _warn_of_moved(spelled, names, path)
        return {category_id: index for index, category_id in enumerate(sorted(by_id))}
    if same_names and spelled != list(names):
        _log.warning("%s: holds the classes of 'names' in another order; mapped by name", path)
    if set(spelled) <= set(names) or set(names) <= set(spelled):
        index = {name: position for position, name in enumerate(names)}
        return {category_id: index[name] for category_id, name in by_id.items() if name in index}
    missing = next(name for name in names if name not in spelled)
    counts = f"{len(by_id)} categories but 'names' has {len(names)}, and '{missing}' is not among them"
    raise DataError(path, None, f"holds {counts}; correct 'names'")


def _warn_of_moved(spelled: Sequence[str], names: Sequence[str], path: Path) -> None:
    """Categories go by their order; a name that both sides have, but at other places, speaks against it."""
    for place, name in enumerate(spelled):
        if name in names and names[place] != name:
            told = f"its category {place + 1} is '{name}', but line {place + 1} of 'names' is '{names[place]}'"
            _log.warning("%s: %s; mapped by order, correct 'names' if that is wrong", path, told)
            return


def _without_strangers(
    data: Mapping[str, Any], mapping: Mapping[int, int], path: Path, faults: Faults
) -> list[_Placed]:
    """The annotations of categories that are classes; the rest is one fault per category that is in no name."""
    spelled = {int(record["id"]): str(record["name"]) for record in data["categories"]}
    known, strangers = [], Counter[str]()
    for place, annotation in enumerate(data["annotations"]):
        category = annotation.get("category_id")
        if not isinstance(category, int) or category not in spelled:
            faults.add("object skipped, its category_id is no id of the JSON's categories", _place(path, annotation))
        elif category not in mapping:
            strangers[spelled[category]] += 1
        else:
            known.append((place, annotation))
    for name, count in strangers.most_common():
        faults.add("category that is not in 'names', its objects are skipped", f"{path} ('{name}', {count} objects)")
    return known


def _sample(
    record: Record, annotations: Sequence[_Placed], images: Path, mapping: Mapping[int, int], faults: Faults
) -> Sample | None:
    name, image_id = record.get("file_name"), image_key(record.get("id"))
    if not isinstance(name, str) or image_id is None:
        faults.add("image record without 'file_name' or 'id'", f"image {image_id}")
        return None
    image = images / name
    if not os.path.isfile(image):  # Path.is_file raises for a name that no file can have
        faults.add("listed image does not exist", image)
        return None
    stored = image_size(image)
    if stored is None:
        faults.add("image does not decode", image)
        return None
    size = _size(record) or stored
    if size != stored and not is_turned(image, size, stored):
        place = f"{image} ({stored[0]} x {stored[1]}, not {size[0]} x {size[1]})"
        if _same_shape(size, stored):
            faults.add("JSON gives another image size of the same shape; boxes are scaled from it", place)
        else:  # COCO's own tools never look at the JSON's
            faults.add("JSON gives another image size; the image's own is taken", place)
            size = stored
    objects = [o for placed in annotations if (o := _object(placed, size, mapping, faults, image)) is not None]
    return sample_from_pixels(image, image_id, size, objects)


def image_key(value: object) -> int | str | None:
    """An image's id; None for what cannot be one."""
    return value if isinstance(value, int | str) else None


def finite(value: object) -> float | None:
    """A number of a JSON as a float; None for what is none, or larger than any."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer may have any number of digits
        return None
    return number if math.isfinite(number) else None


def _size(record: Record) -> tuple[int, int] | None:
    width, height = record.get("width"), record.get("height")
    if isinstance(width, int) and isinstance(height, int) and 0 < width < _LARGEST and 0 < height < _LARGEST:
        return width, height
    return None


def _object(
    placed: _Placed, size: tuple[int, int], mapping: Mapping[int, int], faults: Faults, image: Path
) -> Annotation | None:
    number, annotation = placed
    place = _place(image, annotation)
    box = annotation.get("bbox")
    sides = [side for value in box if (side := finite(value)) is not None] if isinstance(box, list) else []
    if not isinstance(box, list) or len(sides) != 4 or len(box) != 4:
        faults.add("object skipped, box is not four finite numbers", place)
        return None
    x, y, width, height = sides
    fault = pixel_fault((x, y, x + width, y + height), size)
    if fault:
        faults.add(f"object skipped, {fault}", place)
        return None
    return Annotation(
        mapping[annotation["category_id"]],
        (x, y, x + width, y + height),
        difficult=_flag(annotation.get("difficult")),
        crowd=_flag(annotation.get("iscrowd")),
        area=finite(annotation.get("area")) or width * height,
        place=number,
    )


def _same_shape(told: tuple[int, int], stored: tuple[int, int]) -> bool:
    """Whether the image may have been resized after it was annotated: to a pixel, as sizes are rounded, and to 2 %."""
    (width, height), (stored_w, stored_h) = told, stored
    if abs(width * stored_h / (height * stored_w) - 1) > 0.02:
        return False
    return abs(width * stored_h / stored_w - height) <= 1 and abs(height * stored_w / stored_h - width) <= 1


def _flag(value: object) -> bool:
    """0 and 1, also where a tool wrote them as words."""
    return value.strip().lower() in ("1", "true") if isinstance(value, str) else bool(value)


def _place(file: Path, annotation: Record) -> str:
    return f"{file} (annotation {annotation.get('id')})"
