"""The VOC source: image sets of ids, annotations in XML."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prune.errors import DataError
from prune.files.impostors import HEAD, disguise
from prune.files.reading import read_bytes
from prune.samples.image_list import list_lines
from prune.samples.images import SUFFIXES, decode_fault, image_size, is_turned
from prune.samples.issues import Issues
from prune.samples.sample import FRACTIONS, Annotation, Sample, SampleSet, in_fractions, pixel_fault, sample_from_pixels

_YES, _NO = frozenset({"1", "true", "yes"}), frozenset({"", "0", "false", "no"})
_DECLARATION = re.compile(rb"""\s*<\?xml[^>]*encoding\s*=\s*["'](?P<encoding>[\w.:-]+)["'][^>]*\?>""")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def voc_root(image_set: Path) -> Path | None:
    """The nearest folder above an image-set list that contains `Annotations/` and `JPEGImages/`; None where there is
    none."""
    folders = list(image_set.absolute().parents)[:4]
    return next((f for f in folders if (f / "Annotations").is_dir() and (f / "JPEGImages").is_dir()), None)


def read_voc(image_set: Path, names: tuple[str, ...], root: Path) -> SampleSet:
    """Reads the images whose ids (the first word of each line) `image_set` lists, from a VOC folder `root`.

    The image is JPEGImages/ID.* whatever the XML's `filename` says. Pixels in the XML count from 1 and are
    inclusive, as in the devkit: xmin … xmax covers the edges [xmin - 1, xmax]. `difficult` objects are kept
    and marked, and so are those with `crowd` (not a tag of VOC's: `prune.convert` writes COCO's flag there).
    Objects of unknown classes, faulty boxes, missing images and unreadable XML are skipped and counted; an
    image without XML has no objects. Raises DataError where no image or no annotation is usable, or
    no object has a known name.
    """
    faults = Issues()
    reader = _Reader(root, {name: index for index, name in enumerate(names)}, faults, Counter())
    ids = [(number, line.split()[0]) for number, line in list_lines(image_set)]
    read = [s for number, stem in ids if (s := reader.read(stem, f"{image_set}:{number}")) is not None]
    samples = _with_own_ids(read)
    if not samples:
        raise DataError(image_set, None, f"no usable image under {root}: {'; '.join(faults.lines())}")
    if faults.counts.get(_NO_XML, 0) >= len(samples):
        raise DataError(image_set, None, f"no image has its XML in {root / 'Annotations'}; put them there")
    if reader.unknown and not any(len(sample.classes) for sample in samples):
        found = ", ".join(name for name, _ in reader.unknown.most_common(5))
        wanted = ", ".join(names[:5])
        message = f"no object is of a class in 'names' ({wanted} …); the XML has: {found}"
        raise DataError(image_set, None, f"{message}; correct 'names'")
    return SampleSet(tuple(samples), names, "voc", faults)


def _with_own_ids(samples: Sequence[Sample]) -> list[Sample]:
    """An image that is listed more than once gets a number after its id, so that ids are unique in results."""
    seen, own = Counter[object](), []
    for sample in samples:
        seen[sample.image_id] += 1
        count = seen[sample.image_id]
        own.append(sample if count == 1 else replace(sample, image_id=f"{sample.image_id}#{count}"))
    return own


_NO_XML = "image without an XML file, treated as having no objects"


def xml_of(image: Path) -> Path:
    """The path of the annotation of an image in a VOC folder."""
    return image.parent.parent / "Annotations" / f"{image.stem}.xml"


@dataclass(slots=True)
class _Reader:
    root: Path
    class_ids: dict[str, int]
    faults: Issues
    unknown: Counter[str]
    images: dict[str, Path] | None = None

    def read(self, stem: str, place: str) -> Sample | None:
        """The sample of one id; None, and counted, where it cannot be used."""
        image = self._image(stem)
        if image is None:
            self.faults.add("listed image does not exist", place)
            return None
        xml = xml_of(image)
        size = image_size(image)
        if size is None:
            self.faults.add(decode_fault(image), image)
            return None
        if not os.path.isfile(xml):
            self.faults.add(_NO_XML, image)
            return sample_from_pixels(image, stem, size, ())
        return self._annotated(image, xml, size)

    def _image(self, stem: str) -> Path | None:
        if self.images is None:
            self.images = _images_by_stem(self.root / "JPEGImages")
        return self.images.get(stem)

    def _tree(self, xml: Path) -> ET.Element | None:
        """The root of an annotation; None, and counted, where it is not XML."""
        content = read_bytes(xml, DataError)
        shown = disguise(content[:HEAD])
        if shown is not None and not shown.startswith("UTF-"):
            self.faults.add(f"annotation is not XML but {shown}, image skipped", xml)
            return None
        try:
            return parse_xml(content)
        except ET.ParseError as cause:
            self.faults.add("annotation is not XML, image skipped", f"{xml}:{cause.position[0]}")
        except (LookupError, ValueError):
            self.faults.add("annotation is not in the encoding that it declares, image skipped", xml)
        return None

    def _annotated(self, image: Path, xml: Path, size: tuple[int, int]) -> Sample | None:
        tree = self._tree(xml)
        if tree is None:
            return None
        declared = _declared_size(tree)
        if declared is not None and is_turned(image, declared, size):
            size = declared
        elif declared is not None and declared != size:
            self.faults.add("XML gives another image size; the image's own is used", xml)
        nodes = enumerate(tree.iter("object"))
        objects = [a for place, node in nodes if (a := self._object(node, place, xml, size)) is not None]
        return sample_from_pixels(image, xml.stem, size, objects)

    def _object(self, node: ET.Element, place: int, xml: Path, size: tuple[int, int]) -> Annotation | None:
        name = (node.findtext("name") or "").strip()
        if name not in self.class_ids:
            self.unknown[name] += 1
            self.faults.add(f"object of class '{name}', which is not in 'names'", xml)
            return None
        corners = _corners(node)
        fault = pixel_fault(corners, size) if corners else "box is not four numbers"
        if fault or corners is None:
            self.faults.add(f"object skipped, {fault}", xml)
            return None
        if in_fractions(corners, size):
            self.faults.add(FRACTIONS, xml)
        return Annotation(
            self.class_ids[name],
            corners,
            difficult=self._flag(node, "difficult", xml),
            crowd=self._flag(node, "crowd", xml),
            place=place,
        )

    def _flag(self, node: ET.Element, name: str, xml: Path) -> bool:
        """Whether an object is marked `<name>1</name>`; words other than yes and no are counted and mean no."""
        text = (node.findtext(name) or "0").strip().lower()
        if text not in _YES | _NO:
            self.faults.add(f"<{name}> is neither 0 nor 1, read as 0", xml)
        return text in _YES


def parse_xml(content: bytes) -> ET.Element:
    """The root of an XML document, in the encoding that it declares, also in those that the parser itself does not
    know, such as GBK. Raises ET.ParseError; LookupError or ValueError where the encoding is unknown or wrong."""
    declared = _DECLARATION.match(content)
    if declared is None or declared["encoding"].lower() in (b"utf-8", b"us-ascii", b"utf-16"):
        return ET.fromstring(content)
    return ET.fromstring(content[declared.end() :].decode(declared["encoding"].decode("ascii")))


def _images_by_stem(folder: Path) -> dict[str, Path]:
    """Every image of a folder by its stem; of two with the same stem, the one whose suffix is earlier in SUFFIXES."""
    images = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and os.path.isfile(path))
    ranked = [(SUFFIXES.index(path.suffix.lower()), path) for path in images]
    return {path.stem: path for _, path in sorted(ranked, reverse=True)}


def _declared_size(tree: ET.Element) -> tuple[int, int] | None:
    try:
        size = int(tree.findtext("size/width") or 0), int(tree.findtext("size/height") or 0)
    except ValueError:
        return None
    return size if min(size) > 0 else None


def _corners(node: ET.Element) -> tuple[float, float, float, float] | None:
    """The box as edges from 0; a box without width in the XML (xmax ≤ xmin) has none here. None where it is not four
    numbers."""
    try:
        xmin, ymin, xmax, ymax = (float(node.findtext(f"bndbox/{corner}") or "none") for corner in _CORNERS)
    except ValueError:
        return None
    # Strictly, xmin = xmax is one pixel wide; in practice it is an accidental click of the annotator.
    if xmax <= xmin or ymax <= ymin:
        return xmin, ymin, xmin, ymin
    return xmin - 1, ymin - 1, xmax, ymax
