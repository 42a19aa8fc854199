"""Writing a VOC folder: JPEGImages/, Annotations/ and ImageSets/Main/."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prune.data.target import Item, Target
from prune.samples.boxes import Boxes
from prune.samples.read import Split
from prune.samples.voc_xml import parse_xml, xml_of

SET_NAMES: dict[Split, str] = {"train": "train", "valid": "val"}
NARROWEST = 1.001
"""The least side of a box in pixels. A box of one pixel has xmin = xmax, which in hand-made XML is an accidental click,
and readers treat it as such; a narrower one would be inside out."""


def write_voc(split: Split, items: Sequence[Item], names: Sequence[str], target: Target) -> dict[str, str]:
    """Writes the images, their XML and the image set of a split; returns the lines of the `.data` file.

    Where the source is VOC too, its XML is kept, except the objects left out. Crowd regions become difficult objects
    with an additional `<crowd>`, a tag of this project.
    """
    for item in items:
        target.put_image(item.sample.image, f"JPEGImages/{item.name}")
        target.write(f"Annotations/{item.stem}.xml", annotation_text(item, names, target.final.name))
    listed = "".join(f"{item.stem}\n" for item in items)
    return {split: str(target.write(f"ImageSets/Main/{SET_NAMES[split]}.txt", listed))}


def annotation_text(item: Item, names: Sequence[str], folder: str) -> str:
    """The XML of one image."""
    original = _original(item)
    tree = ET.Element("annotation") if original is None else original
    objects = _drop_objects(tree)
    _set(tree, "folder", folder)
    _set(tree, "filename", item.name)
    size = item.size_wh if item.turned else item.stored_wh
    for key, value in zip(("width", "height", "depth"), (*size, 3), strict=True):
        _set(tree, f"size/{key}", str(value))
    corners = voc_corners(item.edges(size))
    places = item.sample.places if original is not None else None
    for number, label in enumerate(item.sample.classes):
        kept = _new_object(corners[number]) if places is None else objects[int(places[number])]
        _set(kept, "name", names[int(label)])
        _mark(kept, bool(item.sample.difficult[number]), bool(item.sample.crowd[number]))
        tree.append(kept)
    ET.indent(tree)
    return ET.tostring(tree, encoding="unicode") + "\n"


def voc_corners(edges: Boxes) -> Boxes:
    """(n, 4) edges from 0 → xmin, ymin, xmax, ymax counted from 1, both ends inclusive, as in the devkit.
    A side below `NARROWEST` is widened about its centre, by half a pixel at most on either side."""
    centres, sides = (edges[:, :2] + edges[:, 2:]) / 2, edges[:, 2:] - edges[:, :2]
    half = np.maximum(sides, NARROWEST) / 2
    narrow = sides < NARROWEST
    low = np.where(narrow, centres - half, edges[:, :2])
    high = np.where(narrow, centres + half, edges[:, 2:])
    return np.asarray(np.concatenate((low + 1, high), axis=1))


def _original(item: Item) -> ET.Element | None:
    """The source's XML, where the source is a VOC folder and the image has one."""
    xml = xml_of(item.sample.image)
    return parse_xml(xml.read_bytes()) if item.source == "voc" and xml.is_file() else None


def _drop_objects(tree: ET.Element) -> list[ET.Element]:
    objects = list(tree.iter("object"))
    for parent in list(tree.iter()):
        for child in [child for child in parent if child.tag == "object"]:
            parent.remove(child)
    return objects


def _new_object(corners: NDArray[np.float64]) -> ET.Element:
    node = ET.Element("object")
    for key, value in (("name", ""), ("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
        _set(node, key, value)
    for key, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
        _set(node, f"bndbox/{key}", _number(float(value)))
    return node


def _mark(node: ET.Element, difficult: bool, crowd: bool) -> None:
    if difficult or crowd or node.find("difficult") is not None:
        _set(node, "difficult", "1" if difficult or crowd else "0")
    if crowd or node.find("crowd") is not None:
        _set(node, "crowd", "1" if crowd else "0")


def _set(tree: ET.Element, path: str, text: str) -> None:
    """Sets the text of a child, created where it is missing; `a/b` is b in a."""
    for tag in path.split("/"):
        child = tree.find(tag)
        tree = ET.SubElement(tree, tag) if child is None else child
    tree.text = text


def _number(value: float) -> str:
    """Whole pixels without decimals, as most readers of VOC expect; others with four."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
