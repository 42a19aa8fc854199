"""How detections are scored: plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from prune.errors import UsageError
from prune.settings import BELOW_ONE, check_options, option

Protocol = Literal["coco", "voc07", "voc10", "darknet"]
RecallPoints = Literal[0, 11, 101]


def default_protocol(source: str) -> Protocol:
    """The protocol of a dataset's source (`SampleSet.source`): COCO's for COCO data, else VOC's of 2010."""
    return "coco" if source == "coco" else "voc10"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """By which protocol, and Darknet's own choices within its. `ap` None follows the data's source."""

    ap: Protocol | None = option(
        None,
        "coco: IoU .50:.95; voc07: 11 points; voc10: area; darknet: as `detector map` "
        "(default: coco for COCO data, else voc10)",
    )
    points: RecallPoints = option(
        0, "darknet: recall points of the AP, 0: area under the curve", parse=int, choices=get_args(RecallPoints)
    )
    iou_thres: float = option(
        0.5, "darknet: IoU above which a detection is a true positive", metavar="X", within=BELOW_ONE
    )
    thresh: float = option(0.25, "darknet: count TP, FP and FN above this score", metavar="X", within=BELOW_ONE)

    def __post_init__(self) -> None:
        check_options(self)

    def for_source(self, source: str) -> Self:
        """With the protocol chosen, for a dataset's `SampleSet.source`. Raises UsageError where a setting of
        Darknet's protocol is combined with another protocol."""
        protocol = self.ap or default_protocol(source)
        if protocol != "darknet" and (self.points, self.iou_thres, self.thresh) != _DARKNETS_OWN:
            raise UsageError(f"--points, --iou-thres and --thresh belong to --ap darknet, but this is {protocol}")
        return replace(self, ap=protocol)


_DARKNETS_OWN = tuple(getattr(ScoreSettings(), name) for name in ("points", "iou_thres", "thresh"))
