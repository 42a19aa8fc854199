"""Checks a dataset: its faults, and statistics of its contents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from prune.darknet.datafile import DataFile
from prune.darknet.netdef import NetDef
from prune.data.anchors import (
    RECALLS,
    AnchorFit,
    Sizes,
    cfg_anchors,
    cfg_text,
    find_anchors,
    measure_anchors,
    network_sizes,
)
from prune.data.examples import Example, pick_examples
from prune.data.leaks import shared_images
from prune.data.pixels import ImageProbe, probe_images
from prune.data.split_check import check_split
from prune.data.statistics import SplitStatistics, Wh, split_statistics
from prune.errors import DataError
from prune.samples.issues import Issues
from prune.samples.read import SPLITS, Split, read_samples
from prune.samples.sample import Sample, SampleSet
from prune.settings import Interval, check_options, option

NO_OBJECTS = "class without an object in {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """Settings of a check. `anchors`: how many k-means finds; 0: none; None: as many as the cfg uses, or 9."""

    anchors: int | None = option(
        None,
        "k-means anchors to find (0: none; default: as many as --cfg uses, or 9)",
        metavar="N",
        within=Interval(0, 100),
    )
    seed: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True)
class AnchorReport:
    """Anchors at a network input of `net_wh`: those that k-means found (`after`), those of the cfg (`before`), and the
    former as an argument of `prune.adapt --anchors` (`text`; None where they do not fit the cfg). `sizes` (n, 2): those
    of the boxes that they are for, in pixels of the input."""

    net_wh: tuple[int, int]
    letterbox: bool
    sizes: Sizes
    after: AnchorFit
    before: AnchorFit | None = None
    text: str | None = None

    def facts(self) -> dict[str, Any]:
        """The fields of summary.json."""
        known = {"net_wh": self.net_wh, "letterbox": self.letterbox, "boxes": len(self.sizes), "text": self.text}
        before = asdict(self.before) if self.before else None
        return known | {"recall_at": RECALLS, "before": before, "after": asdict(self.after)}


@dataclass(frozen=True, slots=True, eq=False)
class CheckReport:
    """The result of a check. `faults` should be fixed, `remarks` may be intended. `faulty`: pictures of faults,
    `examples`: a few of each split."""

    names: tuple[str, ...]
    splits: Mapping[Split, SplitStatistics]
    faults: Issues
    remarks: Issues
    anchors: AnchorReport | None
    faulty: tuple[Example, ...]
    examples: tuple[Example, ...]

    def facts(self) -> dict[str, Any]:
        """The fields of summary.json."""
        return {
            "names": self.names,
            "splits": {split: statistics.facts() for split, statistics in self.splits.items()},
            "faults": _with_places(self.faults),
            "remarks": _with_places(self.remarks),
            "anchors": self.anchors.facts() if self.anchors else None,
        }


def _with_places(issues: Issues) -> dict[str, Any]:
    return {kind: {"count": count, "places": issues.places(kind)} for kind, count in issues.counts.items()}


def check(
    datafile: DataFile, settings: CheckSettings, net_wh: Wh, letterbox: bool, netdef: NetDef | None = None
) -> CheckReport:
    """Checks the splits that `datafile` names; anchors are for a network input of `net_wh` pixels and are compared with
    those of `netdef`. Raises DataError where a split cannot be read at all."""
    splits: list[Split] = [split for split in SPLITS if split in datafile.entries]
    if not splits:
        raise DataError(
            datafile.path, None, "has neither a 'train' nor a 'valid' line, so there is nothing to check; add one"
        )
    faults, remarks, faulty = Issues(), Issues(), list[Example]()
    sets = {split: read_samples(datafile, split) for split in splits}
    probes = probe_images((sample.image for found in sets.values() for sample in found.samples), settings.progress)
    for split, found in sets.items():
        faults.merge(found.faults)
        remarks.merge(found.remarks)
        check_split(split, found, probes, faults, remarks, faulty)
    shared_images(sets, probes, faults, faulty)
    decoded = {split: _decoded(found, probes) for split, found in sets.items()}
    statistics = {split: _statistics(pairs, datafile.classes) for split, pairs in decoded.items()}
    _missing_classes(datafile.names, statistics, faults, remarks)
    boxes = decoded["train"] if "train" in decoded else decoded["valid"]
    anchors = _anchors(boxes, settings, net_wh, letterbox, netdef, remarks)
    some = tuple(example for split, pairs in decoded.items() for example in pick_examples(split, pairs, settings.seed))
    return CheckReport(datafile.names, statistics, faults, remarks, anchors, tuple(faulty), some)


def _decoded(found: SampleSet, probes: Mapping[Any, ImageProbe]) -> list[tuple[Sample, Wh]]:
    """The samples whose image can be decoded, with the size that their boxes are in."""
    pairs = []
    for sample in found.samples:
        size = probes[sample.image].size_wh
        if size is not None:
            pairs.append((sample, sample.size_wh or size))
    return pairs


def _statistics(pairs: list[tuple[Sample, Wh]], classes: int) -> SplitStatistics:
    return split_statistics([sample for sample, _ in pairs], [size for _, size in pairs], classes)


def _missing_classes(
    names: tuple[str, ...], splits: Mapping[Split, SplitStatistics], faults: Issues, remarks: Issues
) -> None:
    """A class that cannot be learnt is a fault; one that is learnt but not measured may be intended: small valid splits
    often lack the rare ones."""
    learnt = splits["train"].class_objects if "train" in splits else (0,) * len(names)
    for split, statistics in splits.items():
        for name, count, trained in zip(names, statistics.class_objects, learnt, strict=True):
            if not count:
                (remarks if trained else faults).add(NO_OBJECTS.format(split), name)


def _anchors(
    pairs: list[tuple[Sample, Wh]],
    settings: CheckSettings,
    net_wh: Wh,
    letterbox: bool,
    netdef: NetDef | None,
    remarks: Issues,
) -> AnchorReport | None:
    sizes = network_sizes([sample for sample, _ in pairs], [size for _, size in pairs], net_wh, letterbox)
    if settings.anchors == 0 or not len(sizes):
        return None
    old = cfg_anchors(netdef) if netdef else None
    usual = len(old) if old is not None else 9
    count = min(settings.anchors or usual, len(np.unique(sizes, axis=0)))
    if settings.anchors and count < settings.anchors:
        remarks.add(f"fewer different box sizes than --anchors {settings.anchors}", f"only {count}")
    after = find_anchors(sizes, count, settings.seed, old)
    before = measure_anchors(sizes, old) if old is not None else None
    return AnchorReport(net_wh, letterbox, sizes, after, before, cfg_text(netdef, after) if netdef else None)
