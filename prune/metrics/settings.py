"""How detections are scored: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Self

from prune.errors import UsageError

Protocol = Literal["coco", "voc07", "voc10", "darknet"]


def default_protocol(source: str) -> Protocol:
    """The protocol of a data set's source (`SampleSet.source`): COCO's for COCO data, else VOC's of 2010."""
    return "coco" if source == "coco" else "voc10"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """By which protocol, and Darknet's own choices within its. `ap` None follows the data's source."""

    ap: Protocol | None = field(
        default=None,
        metadata={
            "help": "coco: IoU .50:.95; voc07: 11 points; voc10: area; darknet: as `detector map` "
            "(default: coco for COCO data, else voc10)"
        },
    )
    points: Literal[0, 11, 101] = field(
        default=0,
        metadata={"help": "darknet: recall points of the AP, 0: area under the curve", "parse": int},
    )
    iou_thres: float = field(default=0.5, metadata={"help": "darknet: a hit overlaps by more", "metavar": "X"})
    thresh: float = field(
        default=0.25, metadata={"help": "darknet: hits and misses are counted above this score", "metavar": "X"}
    )

    def __post_init__(self) -> None:
        if self.points not in (0, 11, 101):
            raise UsageError(f"--points {self.points} must be 0, 11 or 101")
        for name in ("iou_thres", "thresh"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)} must be within [0, 1)")

    def for_source(self, source: str) -> Self:
        """With the protocol settled, for a data set's `SampleSet.source`. Raises UsageError where a setting of
        Darknet's protocol meets another one."""
        protocol = self.ap or default_protocol(source)
        if protocol != "darknet" and (self.points, self.iou_thres, self.thresh) != _DARKNETS_OWN:
            raise UsageError(f"--points, --iou-thres and --thresh belong to --ap darknet, but this is {protocol}")
        return replace(self, ap=protocol)


_DARKNETS_OWN = tuple(getattr(ScoreSettings(), name) for name in ("points", "iou_thres", "thresh"))
