"""VOC's AP on real annotations, against an independent computation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from prune.darknet.datafile import read_datafile
from prune.detect.settings import EvaluateSettings
from prune.metrics.detections import Detected
from prune.metrics.measure import measure
from prune.metrics.result import Inference
from prune.metrics.settings import Protocol
from prune.samples.read import read_samples
from prune.samples.sample import SampleSet
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared
Floats = NDArray[np.float64]
NAMES = ("RBC", "WBC", "Platelets")
SIZE = (640, 480)
# An object as the devkit has it: class, xmin, ymin, xmax, ymax, difficult.
Thing = tuple[str, float, float, float, float, bool]
Truths = dict[str, list[Thing]]


@pytest.fixture(scope="module")
def bccd(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    folder = tmp_path_factory.mktemp("bccd")
    (folder / "bccd.names").write_text("\n".join(NAMES))
    valid = SHARED / "bccd" / "ImageSets" / "Main" / "test.txt"
    (folder / "bccd.data").write_text(f"classes=3\nvalid={valid}\nnames={folder / 'bccd.names'}\n")
    return read_samples(read_datafile(folder / "bccd.data"), "valid")


def detections(samples: SampleSet, seed: int = 0) -> dict[str, Floats]:
    """Per image (n, 6) edges, score, class: about the detections of a mediocre network, some of them twice."""
    rng = np.random.default_rng(seed)
    found = dict[str, Floats]()
    for sample in samples.samples:
        edges = np.repeat(sample.pixel_edges(SIZE), 2, axis=0)
        keep = rng.random(len(edges)) < 0.7
        size = np.tile(edges[:, 2:] - edges[:, :2], 2)
        near = edges + rng.normal(0, 0.12, edges.shape) * size
        corner = rng.uniform(0, 400, (6, 2))
        boxes = np.concatenate((near[keep], np.concatenate((corner, corner + rng.uniform(20, 80, (6, 2))), 1)))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        wrong = rng.integers(0, 3, len(boxes))
        labels = np.append(np.repeat(sample.classes, 2)[keep], wrong[:6])
        labels = np.where(rng.random(len(labels)) < 0.9, labels, wrong)
        rows: Floats = np.column_stack((np.clip(boxes, 0, SIZE * 2), rng.random(len(boxes)), labels))
        found[str(sample.image_id)] = rows[np.argsort(-rows[:, 4])]
    return found


def annotated(difficult: dict[str, NDArray[np.bool_]]) -> Truths:
    """The XML files, without those objects that have no area; `difficult` of the rest, image by image."""
    truths: Truths = {}
    for name, flags in difficult.items():
        root = ElementTree.parse(SHARED / "bccd" / "Annotations" / f"{name}.xml").getroot()
        things = []
        for thing in root.iter("object"):
            label, box = thing.findtext("name"), thing.find("bndbox")
            assert label is not None
            assert box is not None
            edges = [float(box.findtext(side) or "nan") for side in ("xmin", "ymin", "xmax", "ymax")]
            if edges[2] >= edges[0] and edges[3] >= edges[1]:
                things.append((label, edges))
        assert len(things) == len(flags), name
        truths[name] = [(label, *edges, bool(flag)) for (label, edges), flag in zip(things, flags, strict=True)]  # type: ignore[misc]
    return truths


def devkit(found: dict[str, Floats], truths: Truths, label: int, eleven: bool) -> float:
    """VOCevaldet.m and VOCap.m, one detection after the other."""
    listed = [(-row[4], name, row) for name, rows in found.items() for row in rows.tolist() if row[5] == label]
    taken, flags = set[tuple[str, int]](), list[bool]()
    for _, name, (x0, y0, x1, y1, _, _) in sorted(listed, key=lambda entry: entry[0]):
        x0, y0 = x0 + 1, y0 + 1  # edges from 0 to pixels from 1
        best, which = -1.0, -1
        for j, (kind, a0, b0, a1, b1, _) in enumerate(truths[name]):
            w, h = min(x1, a1) - max(x0, a0) + 1, min(y1, b1) - max(y0, b0) + 1
            if kind == NAMES[label] and w > 0 and h > 0:
                union = (x1 - x0 + 1) * (y1 - y0 + 1) + (a1 - a0 + 1) * (b1 - b0 + 1) - w * h
                if w * h / union > best:
                    best, which = w * h / union, j
        if best < 0.5:
            flags.append(False)
        elif not truths[name][which][5]:
            flags.append((name, which) not in taken)
            taken.add((name, which))
    objects = sum(kind == NAMES[label] and not hidden for things in truths.values() for kind, *_, hidden in things)
    return _average(flags, objects, eleven)


def _average(flags: list[bool], objects: int, eleven: bool) -> float:
    hits, points = 0, list[tuple[float, float]]()
    for count, flag in enumerate(flags, start=1):
        hits += flag
        points.append((hits / objects, hits / count))
    if eleven:
        return sum(max((p for r, p in points if r >= tenth / 10), default=0.0) for tenth in range(11)) / 11
    area, reached = 0.0, 0.0
    for n, (recall, _) in enumerate(points):
        if recall > reached:
            area += (recall - reached) * max(p for _, p in points[n:])
            reached = recall
    return area


def with_difficult(samples: SampleSet, share: float) -> SampleSet:
    rng = np.random.default_rng(5)
    marked = (replace(s, difficult=rng.random(len(s.classes)) < share) for s in samples.samples)
    return replace(samples, samples=tuple(marked))


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("protocol", ["voc07", "voc10"])
def test_ap_on_the_bccd_test_images_is_the_devkits(bccd: SampleSet, protocol: Protocol, share: float) -> None:
    samples, found = with_difficult(bccd, share), detections(bccd)
    assert len(samples) == 72
    seen = [Detected(s, SIZE, found[str(s.image_id)]) for s in samples.samples]
    made = Inference(img_size=SIZE, fit="stretch", conf=0.001, nms=0.6)
    metrics = measure(seen, samples, EvaluateSettings(ap=protocol), made)
    truths = annotated({Path(s.image).stem: s.difficult for s in samples.samples})
    expected = {name: devkit(found, truths, label, protocol == "voc07") for label, name in enumerate(NAMES)}
    assert metrics.per_class == pytest.approx(expected, abs=1e-12)
    assert metrics.ap50 == pytest.approx(sum(expected.values()) / 3, abs=1e-12)
    assert 0.3 < metrics.per_class["RBC"] < 0.95
