"""What an evaluation found."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Fitting = Literal["stretch", "letterbox"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Values in [0, 1]; None where the protocol does not define one (or no class has an object).

    `ap`: COCO's mean over IoU 0.50:0.95; `ap50`, `ap75`: at one IoU. `per_class`: for each class that has
    objects, `ap` under COCO and AP at IoU 0.5 under VOC. `protocol`: coco, voc07 or voc10. `img_size`:
    (width, height) of the network's input in pixels. `conf`, `nms`: the thresholds. `skipped`:
    images that could not be read. `sizes`: COCO's AP of small, medium and large objects.
    """

    protocol: str
    images: int
    img_size: tuple[int, int]
    fit: Fitting
    conf: float
    nms: float
    ap: float | None = None
    ap50: float | None = None
    ap75: float | None = None
    per_class: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)
    skipped: int = 0

    def with_values(self, **values: Any) -> Metrics:
        """The same evaluation with fields filled in."""
        return replace(self, **values)

    @property
    def main(self) -> float:
        """The value networks are ranked by: AP50, 0 where nothing could be measured."""
        return self.ap50 or 0.0

    @property
    def title(self) -> str:
        """How it was measured, in a few words."""
        return f"{self.protocol}, {self.images} images, {self.fit}"

    def rows(self, classes: bool = False) -> list[tuple[str, float]]:
        """What was computed: (name, value), the classes behind the rest if asked for."""
        values = [("ap", self.ap), ("ap50", self.ap50), ("ap75", self.ap75)]
        values += [(f"ap_{name}", value) for name, value in self.sizes.items()]
        values += self.per_class.items() if classes else ()
        return [(name, value) for name, value in values if value is not None]

    def per_class_csv(self) -> str:
        """A table `class,ap` with a header line, of the classes that have objects."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("class", "ap"), *self.per_class.items()])
        return text.getvalue()

    def summary(self) -> dict[str, Any]:
        """The fields of summary.json; what was not computed is absent."""
        found: dict[str, Any] = dict(self.rows())
        return found | {
            "per_class": dict(self.per_class),
            "images": self.images,
            "protocol": self.protocol,
            "img_size": list(self.img_size),
            "fit": self.fit,
            "conf_thres": self.conf,
            "nms_thres": self.nms,
        }
