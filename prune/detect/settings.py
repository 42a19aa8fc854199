"""Settings of the loss, of suppression and of evaluation: plain values, no torch, so that flags are cheap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from prune.errors import UsageError

IouKind = Literal["iou", "giou", "diou", "ciou"]
Protocol = Literal["coco", "voc07", "voc10"]


def default_protocol(source: str) -> Protocol:
    """The protocol of a data set's source (`SampleSet.source`): COCO's for COCO data, else VOC's of 2010."""
    return "coco" if source == "coco" else "voc10"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """How predictions are held against the targets; see `prune.detect.loss` for the formulas."""

    box_loss: IouKind = field(default="ciou", metadata={"help": "what a box is trained to maximise"})
    box_gain: float = field(default=3.5, metadata={"help": "weight of the box loss", "metavar": "X"})
    obj_gain: float = field(default=64.0, metadata={"help": "weight of the objectness loss", "metavar": "X"})
    cls_gain: float = field(default=1.0, metadata={"help": "weight of the class loss", "metavar": "X"})
    match_iou: float | None = field(
        default=0.213,
        metadata={
            "help": "anchors whose shape agrees by more with an object also learn it, beside the best one "
            "(Darknet's iou_thresh; 1: the best one only)",
            "metavar": "X",
        },
    )
    ignore_iou: float | None = field(
        default=None,
        metadata={
            "help": "boxes that overlap an object by more are no background (default: ignore_thresh of the cfg)",
            "metavar": "X",
        },
    )
    iou_objectness: float = field(
        default=0.0,
        metadata={
            "help": "share of the box's IoU in its objectness target: 0 is Darknet's (the target is 1)",
            "metavar": "X",
        },
    )
    label_smoothing: float | None = field(
        default=None, metadata={"help": "of the class targets (default: label_smooth_eps of the cfg)", "metavar": "X"}
    )

    def __post_init__(self) -> None:
        for name in ("box_gain", "obj_gain", "cls_gain"):
            if getattr(self, name) < 0:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)} must be 0 or more")
        for name in ("match_iou", "ignore_iou", "iou_objectness", "label_smoothing"):
            if not 0 <= (getattr(self, name) or 0.0) <= 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)} must be within [0, 1]")


@dataclass(frozen=True, slots=True)
class NmsSettings:
    """How detections are selected.

    conf: a detection needs objectness · class probability above it. iou: of two boxes of one class that
    overlap by more, the lower-scored goes. multi_label: one box may be reported under several classes
    (COCO's habit; else only its likeliest). max_detections: the best so many per image, 0 = all.
    kind: what overlap means; `diou` is what Darknet calls greedynms. max_candidates: no more pairs of box
    and class than this, the best ones, enter at all, 0 = all.
    """

    conf: float = 0.001
    iou: float = 0.6
    multi_label: bool = True
    max_detections: int = 0
    kind: Literal["greedy", "diou"] = "greedy"
    max_candidates: int = 30_000

    def __post_init__(self) -> None:
        if not 0 <= self.conf < 1:
            raise UsageError(f"the confidence threshold {self.conf} must be within [0, 1)")
        if not 0 <= self.iou <= 1:
            raise UsageError(f"the NMS threshold {self.iou} must be within [0, 1]")
        if self.max_detections < 0 or self.max_candidates < 0:
            raise UsageError("limits on detections must be 0 (no limit) or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings:
    """How a network is measured. `ap` None follows the data's source; else what is None, the network's cfg.

    `img_size`: (width, height) of the network's input in pixels.
    """

    ap: Protocol | None = field(
        default=None,
        metadata={"help": "coco: IoU .50:.95; voc07: 11 points; voc10: area (default: coco for COCO data, else voc10)"},
    )
    conf_thres: float = field(default=0.001, metadata={"help": "lowest score that counts", "metavar": "X"})
    nms_thres: float = field(
        default=0.6, metadata={"help": "of two boxes of a class that overlap by more, one goes", "metavar": "X"}
    )
    img_size: tuple[int, int] | None = None
    letterbox: bool | None = None
    batch_size: int = 16
    workers: int = 0
    progress: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"--batch-size {self.batch_size} must be at least 1")
        _ = self.nms  # its own checks name the thresholds

    def for_source(self, source: str) -> EvaluateSettings:
        """With the protocol settled, for a data set's `SampleSet.source`."""
        return replace(self, ap=self.ap or default_protocol(source))

    @property
    def nms(self) -> NmsSettings:
        """Several classes per box; the best 100 of an image where COCO's rules say so, all for VOC."""
        limit = 100 if self.ap == "coco" else 0
        return NmsSettings(conf=self.conf_thres, iou=self.nms_thres, max_detections=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSettings:
    """What an evaluation shows and keeps beside its summary."""

    per_class: bool = field(default=False, metadata={"help": "show the AP of each class"})
    save_json: bool = field(default=False, metadata={"help": "write detections.json, a COCO results file"})
