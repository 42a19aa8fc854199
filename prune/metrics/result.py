"""The result of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from prune.metrics.csv_text import csv_text
from prune.samples.fit import Resize

Fitting = Literal["stretch", "letterbox"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """How a network made detections. `img_size`: (width, height) of its input in pixels. `fit`, `resize`, `rect`: how
    images got that size. `conf`, `nms`, `nms_kind`, `max_detections` (per image, 0: no limit): how detections were
    chosen."""

    img_size: tuple[int, int]
    fit: Fitting
    conf: float
    nms: float
    resize: Resize = "half-pixel"
    rect: bool = False
    nms_kind: str = "greedy"
    max_detections: int = 0

    def __str__(self) -> str:
        size, fit = "x".join(map(str, self.img_size)), f"{self.fit}{' rect' * self.rect}"
        resize = "" if self.resize == "half-pixel" else f" {self.resize}"
        kind = "" if self.nms_kind == "greedy" else f" {self.nms_kind}"
        most = f", at most {self.max_detections} per image" if self.max_detections else ""
        return f"{size} {fit}{resize}, conf {self.conf:g}, nms {self.nms:g}{kind}{most}"

    def summary(self) -> dict[str, Any]:
        """The fields of summary.json."""
        return {
            "img_size": list(self.img_size),
            "fit": self.fit,
            "rect": self.rect,
            "resize": self.resize,
            "conf_thres": self.conf,
            "nms_thres": self.nms,
            "nms_kind": self.nms_kind,
            "max_detections": self.max_detections,
        }


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """Detections read from a COCO results file: how they were made is unknown."""

    path: Path
    detections: int

    def __str__(self) -> str:
        return f"{self.detections} detections of {self.path.name}"

    def summary(self) -> dict[str, Any]:
        """The fields of summary.json."""
        return {"results": str(self.path), "detections": self.detections}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Values in [0, 1]; what the protocol does not define (or where no class has an object) is absent, or None.

    `protocol`: coco, voc07, voc10 or darknet. `numbers`: its means over the classes, by name: `ap` (COCO's mean over
    IoU 0.50:0.95), `ap50`, `ap75` (at one IoU), and COCO's others. `per_class`: for each class that has objects, `ap`
    under COCO and AP at one IoU else. `classes`: more numbers of each class. `origin`: where the detections come from.
    `iou`: the overlap of a true positive, where there is only one. `details`: other values of the protocol. `skipped`:
    images that could not be read.
    """

    protocol: str
    images: int
    origin: Inference | ResultsFile
    iou: float = 0.5
    numbers: Mapping[str, float] = field(default_factory=dict)
    per_class: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    skipped: int = 0

    def with_values(self, **values: Any) -> Metrics:
        """The same evaluation with fields filled in."""
        return replace(self, **values)

    @property
    def ap(self) -> float | None:
        """COCO's mean over IoU 0.50:0.95."""
        return self.numbers.get("ap")

    @property
    def ap50(self) -> float | None:
        """The mean at IoU 0.5."""
        return self.numbers.get("ap50")

    @property
    def ap75(self) -> float | None:
        """The mean at IoU 0.75."""
        return self.numbers.get("ap75")

    @property
    def main(self) -> float:
        """The value networks are ranked by: AP50, 0 where nothing could be measured."""
        return self.ap50 or 0.0

    @property
    def title(self) -> str:
        """How it was measured, in one line."""
        points = f" ({self.details['points']} points)" if "points" in self.details else ""
        return f"{self.protocol}{points}, {self.images} images, {self.origin}"

    def rows(self, classes: bool = False) -> list[tuple[str, float]]:
        """What was computed: (name, value), followed by the classes if `classes`."""
        return [*self.numbers.items(), *(self.per_class.items() if classes else ())]

    def class_table(self) -> tuple[list[str], list[list[object]]]:
        """Header and rows of a table of the classes, `class, ap, …`, None where a class lacks a number."""
        rows = {name: {"ap": ap} | dict(self.classes.get(name, {})) for name, ap in self.per_class.items()}
        rows |= {name: dict(row) for name, row in self.classes.items() if name not in rows}
        columns = list(dict.fromkeys(["ap", *(column for row in rows.values() for column in row)]))
        table: list[list[object]] = [[name, *(row.get(column) for column in columns)] for name, row in rows.items()]
        return ["class", *columns], table

    def per_class_csv(self) -> str:
        """`class_table` as CSV; empty cells where a class lacks a number."""
        header, rows = self.class_table()
        return csv_text([header, *rows])

    def summary(self) -> dict[str, Any]:
        """The fields of summary.json; what was not computed is absent."""
        found: dict[str, Any] = dict(self.numbers) | dict(self.details)
        if self.classes:
            found["classes"] = {name: dict(row) for name, row in self.classes.items()}
        measured = {
            "per_class": dict(self.per_class),
            "images": self.images,
            "skipped_images": self.skipped,
            "protocol": self.protocol,
            "iou_thres": "0.50:0.95" if self.protocol == "coco" else self.iou,
        }
        return found | measured | self.origin.summary()
