"""Writing COCO: an instances JSON per split, and its folder of images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.data.target import Item, Target
from prune.samples.coco_boxes import has_box
from prune.samples.coco_json import load_instances
from prune.samples.ids import number_id, plain_id
from prune.samples.read import Split
from prune.samples.sample import Sample, SampleSet

Record = dict[str, Any]
IDS_REPEAT = "annotation ids are missing, 0, not numbers or not unique; new ones assigned"


def write_coco(split: Split, items: Sequence[Item], found: SampleSet, target: Target) -> dict[str, str]:
    """Writes annotations/instances_SPLIT.json and SPLIT/IMAGE; returns the lines of the `.data` file.

    Where the source is COCO too, ids, segments, licences and all else are kept, except the names of the categories,
    which are the classes'. Boxes are [left, top, width, height] in pixels, edges counted from 0. `difficult` (VOC's
    flag) is a key of this project. Annotation ids count from 1: pycocotools treats id 0 as absent.
    """
    for item in items:
        target.put_image(item.sample.image, f"{split}/{item.name}")
    path = target.write(f"annotations/instances_{split}.json", json.dumps(instances(items, found, target)))
    return {split: str(path), f"{split}_images": str(target.final / split)}


def instances(items: Sequence[Item], found: SampleSet, target: Target) -> Record:
    """The JSON's content."""
    original = load_instances(found.annotations) if found.annotations is not None else {}
    images = {plain_id(record.get("id")): record for record in reversed(original.get("images", ()))}
    known = original.get("annotations", [])
    category_ids = _category_ids(found)
    image_ids = _image_ids(items)
    records, annotations = [], list[Record]()
    for item, image_id in zip(items, image_ids, strict=True):
        width, height = item.size_wh
        own = {"id": image_id, "file_name": item.name, "width": width, "height": height}
        records.append(images.get(image_id, {}) | own)
        annotations += _annotations(item, image_id, category_ids, known)
    if not _have_unique_ids(known):
        annotations = [record | {"id": number} for number, record in enumerate(annotations, start=1)]
        if known:
            target.notes.add(IDS_REPEAT, found.annotations)
    categories = _categories(found, category_ids, original, target)
    base: Record = {"info": {}, "licenses": []}
    return base | original | {"images": records, "annotations": annotations, "categories": categories}


def _have_unique_ids(annotations: Sequence[Record]) -> bool:
    """Whether ids are unique, and none is the 0 that pycocotools treats as absent."""
    ids = {record["id"] for record in annotations if isinstance(record.get("id"), int) and record["id"] != 0}
    return 0 < len(ids) == len(annotations)


def _image_ids(items: Sequence[Item]) -> list[int | str]:
    """Ids that are numbers are kept, and so are stems that are numbers (COCO's 000000000139 is 139); else from 1."""
    ids = [item.sample.image_id for item in items]
    if ids and all(isinstance(image_id, int) for image_id in ids):
        return ids
    numbers = [int(stem) for stem in map(str, ids) if stem.isascii() and stem.isdigit()]
    return list(numbers if len(set(numbers)) == len(ids) else range(1, len(ids) + 1))


def _category_ids(found: SampleSet) -> list[int]:
    """The source's ids, or 1, 2, 3 … where one is unknown."""
    ids = found.category_ids
    return list(range(1, len(found.names) + 1)) if ids is None or min(ids) < 0 else list(ids)


def _categories(found: SampleSet, ids: Sequence[int], original: Mapping[str, Any], target: Target) -> list[Record]:
    old = (
        {number_id(record.get("id")): record for record in original.get("categories", ())} if found.category_ids else {}
    )
    plain = {"supercategory": "none"}
    before = found.category_ids or ids
    for was, name in zip(before, found.names, strict=True):
        if was in old and old[was].get("name") != name:
            target.notes.add("category spelled as in 'names'", f"{old[was].get('name')} as {name}")
    named = zip(before, ids, found.names, strict=True)
    return [old.get(was, plain) | {"id": now, "name": name} for was, now, name in named]


def _annotations(item: Item, image_id: int | str, category_ids: Sequence[int], known: Sequence[Record]) -> list[Record]:
    sample, edges = item.sample, item.edges(item.size_wh)
    boxes = np.concatenate((edges[:, :2], edges[:, 2:] - edges[:, :2]), axis=1)
    records = []
    for number, label in enumerate(sample.classes):
        old = known[int(sample.places[number])] if known and sample.places is not None else {}
        own = {"image_id": image_id, "category_id": category_ids[int(label)]}
        new = _new_annotation(sample, number, boxes[number])
        box = {} if has_box(old) else {"bbox": new["bbox"]}  # null is not a box
        records.append(new | old | box | own)
    return records


def _new_annotation(sample: Sample, number: int, box: NDArray[np.float64]) -> Record:
    segment = float(sample.areas[number]) if sample.areas is not None else 0.0
    record: Record = {
        "bbox": [round(float(value), 4) or float(value) for value in box],
        "area": round(segment or float(box[2] * box[3]), 4),
        "iscrowd": int(sample.crowd[number]),
        "segmentation": [],
    }
    difficult = sample.difficult[number] and not sample.crowd[number]
    return record | {"difficult": 1} if difficult else record
