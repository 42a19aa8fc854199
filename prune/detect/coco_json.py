"""The COCO source: one JSON of images, annotations and categories."""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prune.darknet.files import read_json
from prune.detect.faults import Faults
from prune.detect.images import image_size
from prune.detect.sample import Annotation, Sample, SampleSet, pixel_fault, sample_from_pixels
from prune.errors import DataError

_log = logging.getLogger(__name__)

Record = Mapping[str, Any]


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
    by_image: defaultdict[int | str | None, list[Record]] = defaultdict(list)
    for annotation in _without_strangers(data, mapping, path, faults):
        by_image[_key(annotation.get("image_id"))].append(annotation)
    samples = []
    for record in data["images"]:
        sample = _sample(record, by_image.pop(_key(record.get("id")), []), images, mapping, faults)
        if sample is not None:
            samples.append(sample)
    for orphans in by_image.values():
        for orphan in orphans:
            faults.add("annotation of an image the JSON does not hold", _place(path, orphan))
    if not samples:
        raise DataError(path, None, f"no usable image in {images}: {'; '.join(faults.lines())}")
    categories = {class_id: category for category, class_id in mapping.items()}
    ids = tuple(categories.get(class_id, -1) for class_id in range(len(names)))
    return SampleSet(tuple(samples), names, "coco", faults, ids, path)


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
    except (KeyError, TypeError, ValueError) as cause:
        raise DataError(path, None, "a category has no numeric 'id' or no 'name'; add it") from cause
    spelled = [by_id[category_id] for category_id in sorted(by_id)]
    same_names = set(spelled) == set(names)
    if len(by_id) == len(names) and not same_names:
        return {category_id: index for index, category_id in enumerate(sorted(by_id))}
    if same_names and spelled != list(names):
        _log.warning("%s: holds the classes of 'names' in another order; mapped by name", path)
    if set(spelled) <= set(names) or set(names) <= set(spelled):
        index = {name: position for position, name in enumerate(names)}
        return {category_id: index[name] for category_id, name in by_id.items() if name in index}
    missing = next(name for name in names if name not in spelled)
    counts = f"{len(by_id)} categories but 'names' has {len(names)}, and '{missing}' is not among them"
    raise DataError(path, None, f"holds {counts}; correct 'names'")


def _without_strangers(data: Mapping[str, Any], mapping: Mapping[int, int], path: Path, faults: Faults) -> list[Record]:
    """The annotations of categories that are classes; the rest is one fault per category that is in no name."""
    spelled = {int(record["id"]): str(record["name"]) for record in data["categories"]}
    known, strangers = [], Counter[str]()
    for annotation in data["annotations"]:
        category = annotation.get("category_id")
        if not isinstance(category, int) or category not in spelled:
            faults.add("object skipped, its category is not among the JSON's categories", _place(path, annotation))
        elif category not in mapping:
            strangers[spelled[category]] += 1
        else:
            known.append(annotation)
    for name, count in strangers.most_common():
        faults.add("category that is not in 'names', its objects are skipped", f"{path} ('{name}', {count} objects)")
    return known


def _sample(
    record: Record, annotations: Sequence[Record], images: Path, mapping: Mapping[int, int], faults: Faults
) -> Sample | None:
    name, image_id = record.get("file_name"), _key(record.get("id"))
    if not isinstance(name, str) or image_id is None:
        faults.add("image record without 'file_name' or 'id'", f"image {image_id}")
        return None
    image = images / name
    if not image.is_file():
        faults.add("listed image does not exist", image)
        return None
    size = _size(record) or image_size(image)
    if size is None:
        faults.add("image does not decode", image)
        return None
    objects = [o for a in annotations if (o := _object(a, size, mapping, faults, image)) is not None]
    return sample_from_pixels(image, image_id, size, objects)


def _key(value: object) -> int | str | None:
    """An image's id; None for what cannot be one."""
    return value if isinstance(value, int | str) else None


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else default


def _size(record: Record) -> tuple[int, int] | None:
    width, height = record.get("width"), record.get("height")
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return width, height
    return None


def _object(
    annotation: Record, size: tuple[int, int], mapping: Mapping[int, int], faults: Faults, image: Path
) -> Annotation | None:
    place = _place(image, annotation)
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        faults.add("object skipped, box is not four numbers", place)
        return None
    x, y, width, height = map(float, box)
    fault = pixel_fault((x, y, x + width, y + height), size)
    if fault:
        faults.add(f"object skipped, {fault}", place)
        return None
    return Annotation(
        mapping[annotation["category_id"]],
        (x, y, x + width, y + height),
        difficult=bool(annotation.get("difficult", 0)),
        crowd=bool(annotation.get("iscrowd", 0)),
        area=_number(annotation.get("area"), width * height),
        annotation_id=int(_number(annotation.get("id"), 0)),
    )


def _place(file: Path, annotation: Record) -> str:
    return f"{file} (annotation {annotation.get('id')})"
