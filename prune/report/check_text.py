"""The result of `prune.check` as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from prune.data.anchors import RECALLS, AnchorFit
from prune.data.check import AnchorReport, CheckReport
from prune.data.statistics import SplitStatistics
from prune.report.tables import format_table
from prune.report.visible import visible
from prune.samples.issues import Issues

MEASURES = (
    "images",
    "images without an object",
    "objects",
    "difficult",
    "crowd",
    "small objects (below 32² px)",
    "medium objects",
    "large objects (above 96² px)",
    "objects per image",
    "image width",
    "image height",
)


def measures(split: SplitStatistics) -> list[str]:
    """The values of `MEASURES`; of the last three minimum, median and maximum."""
    counts = (
        split.images,
        split.empty,
        split.objects,
        split.difficult,
        split.crowd,
        split.small,
        split.medium,
        split.large,
    )
    return [f"{count:,}" for count in counts] + [_spread(s) for s in (split.per_image, split.width, split.height)]


def _spread(values: tuple[int, int, int]) -> str:
    return str(values[0]) if values[0] == values[2] else "/".join(map(str, values))


def fit_row(name: str, fit: AnchorFit) -> list[str]:
    """One set of anchors: name, number, mean IoU, recalls."""
    shares = (fit.mean_iou, *fit.recalls)
    return [name, str(len(fit.anchors)), *(f"{share:.4f}" for share in shares)]


FIT_HEADER = ("anchors", "number", "mean IoU", *(f"recall at IoU {recall:g}" for recall in RECALLS))


def check_text(report: CheckReport) -> str:
    """All that the command shows, except the verdict."""
    splits = list(report.splits)
    values = [measures(report.splits[split]) for split in splits]
    overview = format_table(("", *splits), list(zip(MEASURES, *values, strict=True)))
    classes = format_table(_class_header(splits), class_rows(report))
    parts = [overview, classes, *_anchor_parts(report.anchors)]
    return "\n\n".join([*parts, *_found("Remarks", report.remarks), *_found("Faults", report.faults)])


def _class_header(splits: Iterable[str]) -> tuple[str, ...]:
    return ("class", *(word for split in splits for word in (f"{split}: objects", "images")))


def class_rows(report: CheckReport) -> list[list[object]]:
    """Per class: its name, then objects and images of each split."""
    return [
        [name, *(n for s in report.splits.values() for n in (s.class_objects[label], s.class_images[label]))]
        for label, name in enumerate(report.names)
    ]


def _anchor_parts(anchors: AnchorReport | None) -> list[str]:
    if anchors is None:
        return []
    rows = [fit_row("of the cfg", anchors.before)] if anchors.before else []
    rows.append(fit_row("k-means", anchors.after))
    table = format_table(FIT_HEADER, rows)
    return [f"{anchor_title(anchors)}\n{table}\nk-means: {anchors.after.text()}", *_adapt_lines(anchors)]


def anchor_title(anchors: AnchorReport) -> str:
    """The boxes and the input that the anchors are for."""
    how = "letterboxed" if anchors.letterbox else "stretched"
    return f"{len(anchors.sizes):,} boxes at {anchors.net_wh[0]} x {anchors.net_wh[1]}, {how}"


def _adapt_lines(anchors: AnchorReport) -> list[str]:
    lines = [f"for the cfg: python -m prune.adapt CFG --anchors {anchors.text} ..."] if anchors.text else []
    return lines + [line for line in [other_number(anchors)] if line]


def other_number(anchors: AnchorReport) -> str:
    """Why the anchors that were found cannot be written into the cfg; empty where they can."""
    used = len(anchors.before.anchors) if anchors.before else 0
    if used in (0, len(anchors.after.anchors)):
        return ""
    different = len(np.unique(anchors.sizes, axis=0))
    if different < used:
        return f"the heads of the cfg use {used} anchors, but the boxes have only {different} different sizes"
    return f"the heads of the cfg use {used} anchors: --anchors {used} finds as many, for prune.adapt"


def _found(title: str, faults: Issues) -> Sequence[str]:
    return ["\n".join([f"{title}:", *map(visible, faults.lines())])] if faults else []


def verdict(report: CheckReport) -> str:
    """The closing line."""
    images = _counted(sum(split.images for split in report.splits.values()), "image")
    if not report.faults:
        return f"no faults in {images}"
    kinds = _counted(len(report.faults.counts), "kind")
    return f"{_counted(report.faults.total, 'fault')} of {kinds} in {images}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
