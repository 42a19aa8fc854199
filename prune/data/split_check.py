"""Faults of one split that are not found by reading it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from prune.data.examples import Example, add_example
from prune.data.objects import OVERHANG, overhanging, same_boxes
from prune.data.pixels import ImageProbe
from prune.data.statistics import Wh
from prune.samples.images import decode_fault
from prune.samples.issues import Issues
from prune.samples.labels import find_label, label_text, overhangs
from prune.samples.read import Split
from prune.samples.sample import Sample, SampleSet

CUT_OFF = "image is cut off, its end is missing"
TWICE = "duplicate object: same class, same box"
TWO_CLASSES = "one box under two classes"
TURNED = "image has a camera's orientation flag: its boxes are read as those of the image as it is stored"
TINY = "no box is as large as a pixel: are they fractions of the image instead of pixels, or divided twice?"
BEYOND = "box reaches beyond the image, clipped"


def check_split(
    split: Split,
    found: SampleSet,
    probes: Mapping[Path, ImageProbe],
    faults: Issues,
    remarks: Issues,
    faulty: list[Example],
) -> None:
    """Adds the faults of every image and its objects. `probes`: one for each image."""
    for sample in found.samples:
        probe = probes[sample.image]
        if probe.size_wh is None:
            faults.add(decode_fault(sample.image), sample.image)
            continue
        size = sample.size_wh or probe.size_wh
        _check_image(sample, probe, size, faults, faulty)
        _check_boxes(sample, size, faults, remarks, faulty)
        if probe.orientation != 1 and size == probe.size_wh:  # else the annotation's size has followed the flag
            remarks.add(TURNED, sample.image)
        if found.source == "list":
            _check_label(sample, probe.size_wh, len(found.names), faults, faulty)
    if _all_tiny(found, probes):
        remarks.add(TINY, split)


def _all_tiny(found: SampleSet, probes: Mapping[Path, ImageProbe]) -> bool:
    """Whether there are objects, all of them smaller than a pixel."""
    sizes = ((sample, sample.size_wh or probes[sample.image].size_wh) for sample in found.samples)
    edges = (sample.pixel_edges(size) for sample, size in sizes if size is not None and len(sample.classes))
    sides = [float((box[:, 2:] - box[:, :2]).max()) for box in edges]
    return bool(sides) and max(sides) < 1


def _check_image(sample: Sample, probe: ImageProbe, size: Wh, faults: Issues, faulty: list[Example]) -> None:
    if probe.cut_off:
        faults.add(CUT_OFF, sample.image)
        add_example(faulty, Example(sample, size, CUT_OFF))


def _check_boxes(sample: Sample, size: Wh, faults: Issues, remarks: Issues, faulty: list[Example]) -> None:
    alike, mixed = same_boxes(sample, size)
    for kind, pairs, into in ((TWICE, alike, faults), (TWO_CLASSES, mixed, remarks)):
        for pair in pairs:
            into.add(kind, f"{sample.image} (objects {int(pair[0]) + 1} and {int(pair[1]) + 1})")
        if len(pairs):
            add_example(faulty, Example(sample, size, kind, tuple(np.unique(pairs).tolist())))
    beyond = overhanging(sample, size)
    for number in beyond:
        faults.add(BEYOND, f"{sample.image} (object {int(number) + 1})")
    if len(beyond):
        add_example(faulty, Example(sample, size, BEYOND, tuple(beyond.tolist())))


def _check_label(sample: Sample, size: Wh, classes: int, faults: Issues, faulty: list[Example]) -> None:
    """Reads the label file, since the boxes of the sample are clipped."""
    label = find_label(sample.image)
    if label is None:
        return
    text = label_text(label, Issues())  # what is not text was counted when it was read
    found = overhangs(text or "", classes)
    beyond = [number for number, x, y in found if max(x * size[0], y * size[1]) > OVERHANG]
    for number in beyond:
        faults.add(BEYOND, f"{label}:{number}")
    if beyond:
        add_example(faulty, Example(sample, size, BEYOND))
