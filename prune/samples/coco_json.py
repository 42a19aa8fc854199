"""The COCO source: one JSON of images, annotations and categories."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prune.errors import DataError
from prune.files.paths import find_path
from prune.files.reading import is_unicode, read_json
from prune.samples.coco_boxes import POLYGON, annotated_edges, finite, has_box
from prune.samples.ids import Ids, number_id, plain_id
from prune.samples.images import decode_fault, image_size, is_turned
from prune.samples.issues import Issues
from prune.samples.sample import FRACTIONS, Annotation, Sample, SampleSet, in_fractions, pixel_fault, sample_from_pixels

logger = logging.getLogger(__name__)

Record = Mapping[str, Any]
_Placed = tuple[int, Record]
"""An annotation and its place (from 0) in the JSON's list."""
_LARGEST = 1 << 31


def read_coco(path: Path, names: tuple[str, ...], images: Path) -> SampleSet:
    """Reads a COCO instances JSON whose `file_name`s are in the folder `images`.

    `iscrowd` objects are kept and marked, and so are those with `difficult` (not a key of COCO's: `prune.convert`
    writes VOC's flag there). An object without a box gets the box around its polygons. Missing images, objects of
    unknown categories and faulty boxes are skipped and counted. Ids are compared by their number (`ids.Ids`). Raises
    DataError where the JSON is not one, its categories do not map to `names` (`class_ids`), or no image is usable. A
    class without a category gets the category id -1.
    """
    data = load_instances(path)
    reader = _Reader(path, images, class_ids(data["categories"], names, path))
    by_image = reader.annotations_by_image(data)
    samples: dict[int | str, Sample] = {}
    for record in data["images"]:
        image_id = plain_id(record.get("id"))
        if image_id in samples:
            reader.faults.add("image record skipped, duplicate id", f"{path} (image {_short(image_id)})")
            continue
        sample = reader.sample(record, by_image[image_id])
        if sample is not None:
            samples[sample.image_id] = sample
    if not samples:
        raise DataError(path, None, f"no usable image in {images}: {'; '.join(reader.faults.lines())}")
    categories = {class_id: category for category, class_id in reader.mapping.items()}
    ids = tuple(categories.get(class_id, -1) for class_id in range(len(names)))
    return SampleSet(tuple(samples.values()), names, "coco", reader.faults, ids, path, reader.remarks)


def load_instances(path: Path) -> dict[str, Any]:
    """The parsed JSON, checked to contain lists of objects under `images`, `annotations` and `categories`."""
    data = read_json(path)
    for key in ("images", "annotations", "categories"):
        records = data.get(key) if isinstance(data, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise DataError(path, None, f"contains no list of objects under '{key}'; use a COCO instances JSON")
    return dict(data)


def class_ids(categories: Sequence[Record], names: Sequence[str], path: Path) -> dict[int, int]:
    """Category id → class.

    Where the counts agree, in the order of the ids: the usual coco.names spells six of COCO's differently.
    (If both contain exactly the same names in different orders, the names decide.) Else by name, where one side
    contains all names of the other. Raises DataError for anything else.
    """
    by_id = _category_names(categories, path)
    spelled = [by_id[category_id] for category_id in sorted(by_id)]
    same_names = set(spelled) == set(names)
    if len(by_id) == len(names) and not same_names:
        _warn_of_moved(spelled, names, path)
        return {category_id: index for index, category_id in enumerate(sorted(by_id))}
    if same_names and spelled != list(names):
        logger.warning("%s: contains the classes of 'names' in another order; mapped by name", path)
    if set(spelled) <= set(names) or set(names) <= set(spelled):
        index = {name: position for position, name in enumerate(names)}
        return {category_id: index[name] for category_id, name in by_id.items() if name in index}
    if not all(map(is_unicode, spelled)):
        raise DataError(path, None, "the names of its categories are not in UTF-8; save the file in that encoding")
    missing = next(name for name in names if name not in spelled)
    counts = f"{len(by_id)} categories but 'names' has {len(names)}, and '{missing}' is not among them"
    raise DataError(path, None, f"contains {counts}; correct 'names'")


def _category_names(categories: Sequence[Record], path: Path) -> dict[int, str]:
    """Category id → name. Raises DataError where one is missing or of another type, or two have the same id."""
    by_id: dict[int, str] = {}
    for category in categories:
        number, name = number_id(category.get("id")), category.get("name")
        if number is None or not isinstance(name, str | int | float):
            raise DataError(path, None, "a category has no numeric 'id' or no 'name'; add it")
        if by_id.setdefault(number, str(name)) != str(name):
            both = f"'{_short(by_id[number])}' and '{_short(name)}'"
            raise DataError(path, None, f"the categories {both} have the same id, {_short(number)}; correct one")
    return by_id


def _warn_of_moved(spelled: Sequence[str], names: Sequence[str], path: Path) -> None:
    """Categories are mapped by their order; a name that both sides have at different positions suggests a mistake."""
    known = frozenset(names)
    for place, name in enumerate(spelled):
        if name in known and names[place] != name:
            problem = f"its category {place + 1} is '{name}', but line {place + 1} of 'names' is '{names[place]}'"
            logger.warning("%s: %s; mapped by order, correct 'names' if that is wrong", path, problem)
            return


@dataclass(slots=True)
class _Reader:
    """`mapping`: category id → class."""

    path: Path
    images: Path
    mapping: Mapping[int, int]
    faults: Issues = field(default_factory=Issues)
    remarks: Issues = field(default_factory=Issues)

    def annotations_by_image(self, data: Mapping[str, Any]) -> defaultdict[int | str | None, list[_Placed]]:
        """The annotations of categories that are classes, by the id of their image."""
        known = (plain_id(record.get("id")) for record in data["images"])
        ids = Ids((image_id, image_id) for image_id in known if image_id is not None)
        by_image: defaultdict[int | str | None, list[_Placed]] = defaultdict(list)
        for place, annotation in self._of_known_categories(data):
            image_id = ids.find(annotation.get("image_id"))
            if image_id is None:
                self.faults.add("annotation of an image that the JSON does not contain", _place(self.path, annotation))
            else:
                by_image[image_id].append((place, annotation))
        return by_image

    def _of_known_categories(self, data: Mapping[str, Any]) -> list[_Placed]:
        """The annotations of categories that are classes; the rest is one fault per category that is not a class."""
        spelled = {number_id(record["id"]): str(record["name"]) for record in data["categories"]}
        known, unknown = [], Counter[str]()
        for place, annotation in enumerate(data["annotations"]):
            category = number_id(annotation.get("category_id"))
            if category is None or category not in spelled:
                kind = "object skipped, its category_id is not one of the JSON's categories"
                self.faults.add(kind, _place(self.path, annotation))
            elif category not in self.mapping:
                unknown[spelled[category]] += 1
            else:
                known.append((place, annotation))
        for name, count in unknown.most_common():
            where = f"{self.path} ('{name}', {count} objects)"
            self.faults.add("category that is not in 'names', its objects are skipped", where)
        return known

    def sample(self, record: Record, annotations: Sequence[_Placed]) -> Sample | None:
        """The sample of an image record; None, and counted, where it cannot be used."""
        name, image_id = record.get("file_name"), plain_id(record.get("id"))
        if not isinstance(name, str) or image_id is None:
            self.faults.add("image record without 'file_name' or 'id'", f"image {_short(image_id)}")
            return None
        image = find_path(name, (self.images,), os.path.isfile)
        if image is None:
            self.faults.add("listed image does not exist", self.images / _short(name))
            return None
        stored = image_size(image)
        if stored is None:
            self.faults.add(decode_fault(image), image)
            return None
        size = self._size(record, image, stored)
        objects = [o for placed in annotations if (o := self._object(placed, size, image)) is not None]
        return sample_from_pixels(image, image_id, size, objects)

    def _size(self, record: Record, image: Path, stored: tuple[int, int]) -> tuple[int, int]:
        """The size that the boxes of an image are in."""
        size = _declared_size(record) or stored
        if size == stored or is_turned(image, size, stored):
            return size
        place = f"{image} ({stored[0]} x {stored[1]}, not {size[0]} x {size[1]})"
        if _same_shape(size, stored):
            self.faults.add("JSON gives another image size of the same shape; boxes are scaled from it", place)
            return size
        # COCO's own tools never read the JSON's
        self.faults.add("JSON gives another image size; the image's own is used", place)
        return stored

    def _object(self, placed: _Placed, size: tuple[int, int], image: Path) -> Annotation | None:
        number, annotation = placed
        edges = annotated_edges(annotation)
        fault = edges if isinstance(edges, str) else pixel_fault(edges, size)
        if fault or isinstance(edges, str):
            self.faults.add(f"object skipped, {fault}", _place(image, annotation))
            return None
        if not has_box(annotation):
            self.remarks.add(POLYGON, _place(image, annotation))
        if in_fractions(edges, size):
            self.faults.add(FRACTIONS, _place(image, annotation))
        x0, y0, x1, y1 = edges
        return Annotation(
            self.mapping[number_id(annotation["category_id"]) or 0],
            edges,
            difficult=_flag(annotation.get("difficult")),
            crowd=_flag(annotation.get("iscrowd")),
            area=finite(annotation.get("area")) or (x1 - x0) * (y1 - y0),
            place=number,
        )


def _declared_size(record: Record) -> tuple[int, int] | None:
    width, height = number_id(record.get("width")), number_id(record.get("height"))
    if width is not None and height is not None and 0 < width < _LARGEST and 0 < height < _LARGEST:
        return width, height
    return None


def _same_shape(declared: tuple[int, int], stored: tuple[int, int]) -> bool:
    """Whether the image may have been resized after it was annotated: to a pixel, as sizes are rounded, and to 2 %."""
    (width, height), (stored_w, stored_h) = declared, stored
    if abs(width * stored_h / (height * stored_w) - 1) > 0.02:
        return False
    return abs(width * stored_h / stored_w - height) <= 1 and abs(height * stored_w / stored_h - width) <= 1


def _flag(value: object) -> bool:
    """0 and 1, also where a tool wrote them as words."""
    return value.strip().lower() in ("1", "true") if isinstance(value, str) else bool(value)


def _place(file: Path, annotation: Record) -> str:
    return f"{file} (annotation {_short(annotation.get('id'))})"


def _short(value: object) -> str:
    return str(value)[:80]
