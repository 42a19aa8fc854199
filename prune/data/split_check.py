"""The faults of one split that reading it does not show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from prune.data.objects import OVERHANG, overhanging, same_boxes
from prune.data.pixels import Look
from prune.data.shots import Shot, add_shot
from prune.data.statistics import Wh
from prune.samples.faults import Faults
from prune.samples.images import decode_fault
from prune.samples.labels import find_label, label_text, overhangs
from prune.samples.read import Split
from prune.samples.sample import Sample, SampleSet

CUT_OFF = "image is cut off, its end is missing"
TWICE = "object twice: same class, same box"
TWO_CLASSES = "one box under two classes"
TURNED = "image has a camera's orientation flag: its boxes are taken as those of the image as it is stored"
TINY = "no box is as large as a pixel: are they fractions of the image where pixels are meant, or divided twice?"
BEYOND = "box reaches beyond the image, clipped"


def check_split(
    split: Split, found: SampleSet, looks: Mapping[Path, Look], faults: Faults, remarks: Faults, shots: list[Shot]
) -> None:
    """Adds the faults of every image and its objects. `looks`: of each image."""
    for sample in found.samples:
        look = looks[sample.image]
        if look.size_wh is None:
            faults.add(decode_fault(sample.image), sample.image)
            continue
        size = sample.size_wh or look.size_wh
        _check_image(sample, look, size, faults, shots)
        _check_boxes(sample, size, faults, remarks, shots)
        if look.orientation != 1 and size == look.size_wh:  # else the annotation's size has followed the flag
            remarks.add(TURNED, sample.image)
        if found.source == "list":
            _check_label(sample, look.size_wh, len(found.names), faults, shots)
    if _all_tiny(found, looks):
        remarks.add(TINY, split)


def _all_tiny(found: SampleSet, looks: Mapping[Path, Look]) -> bool:
    """Whether there are objects, and none has a side of a pixel."""
    sizes = ((sample, sample.size_wh or looks[sample.image].size_wh) for sample in found.samples)
    edges = (sample.pixel_edges(size) for sample, size in sizes if size is not None and len(sample.classes))
    sides = [float((box[:, 2:] - box[:, :2]).max()) for box in edges]
    return bool(sides) and max(sides) < 1


def _check_image(sample: Sample, look: Look, size: Wh, faults: Faults, shots: list[Shot]) -> None:
    if look.cut_off:
        faults.add(CUT_OFF, sample.image)
        add_shot(shots, Shot(sample, size, CUT_OFF))


def _check_boxes(sample: Sample, size: Wh, faults: Faults, remarks: Faults, shots: list[Shot]) -> None:
    alike, mixed = same_boxes(sample, size)
    for kind, pairs, into in ((TWICE, alike, faults), (TWO_CLASSES, mixed, remarks)):
        for pair in pairs:
            into.add(kind, f"{sample.image} (objects {int(pair[0]) + 1} and {int(pair[1]) + 1})")
        if len(pairs):
            add_shot(shots, Shot(sample, size, kind, tuple(np.unique(pairs).tolist())))
    beyond = overhanging(sample, size)
    for number in beyond:
        faults.add(BEYOND, f"{sample.image} (object {int(number) + 1})")
    if len(beyond):
        add_shot(shots, Shot(sample, size, BEYOND, tuple(beyond.tolist())))


def _check_label(sample: Sample, size: Wh, classes: int, faults: Faults, shots: list[Shot]) -> None:
    """Label files are read as they are: their boxes were clipped."""
    label = find_label(sample.image)
    if label is None:
        return
    text = label_text(label, Faults())  # what is not text was counted when it was read
    found = overhangs(text or "", classes)
    beyond = [number for number, x, y in found if max(x * size[0], y * size[1]) > OVERHANG]
    for number in beyond:
        faults.add(BEYOND, f"{label}:{number}")
    if beyond:
        add_shot(shots, Shot(sample, size, BEYOND))
