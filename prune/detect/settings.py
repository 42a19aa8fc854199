"""Settings of the loss, of suppression and of evaluation: plain values, no torch, so that flags are cheap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from prune.errors import UsageError
from prune.metrics.settings import ScoreSettings
from prune.samples.fit import Resize

IouKind = Literal["iou", "giou", "diou", "ciou"]
NmsKind = Literal["greedy", "diou"]


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
    kind: what overlap means: the IoU, or for `diou` the IoU less `(d²/c²)^beta`, d being the distance of the
    centres and c the diagonal of the box around both (Zheng et al. 2020, section 3.4, where beta is 1; Darknet's
    `greedynms` has 0.6, its `diounms` the cfg's `beta_nms`). max_candidates: no more pairs of box and class than
    this, the best ones, enter at all, 0 = all.
    """

    conf: float = 0.001
    iou: float = 0.6
    multi_label: bool = True
    max_detections: int = 0
    kind: NmsKind = "greedy"
    max_candidates: int = 30_000
    beta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.conf < 1:
            raise UsageError(f"the confidence threshold {self.conf} must be within [0, 1)")
        if not 0 <= self.iou <= 1:
            raise UsageError(f"the NMS threshold {self.iou} must be within [0, 1]")
        if self.max_detections < 0 or self.max_candidates < 0:
            raise UsageError("limits on detections must be 0 (no limit) or more")
        if self.beta <= 0:
            raise UsageError(f"the exponent of DIoU-NMS, {self.beta}, must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings(ScoreSettings):
    """How a network is measured: how its detections are made, and how they are scored. The thresholds, the resize and
    the kind of NMS that are None follow the protocol; `img_size` and `letterbox` the network's cfg.

    `img_size`: (width, height) of the network's input in pixels. `rect`: letterbox without the border, as far as
    the stride allows. `fuse`: fold batch norms into their convolutions first (the same numbers to about 1e-6).
    """

    conf_thres: float | None = field(
        default=None, metadata={"help": "lowest score that counts (default: 0.001; darknet: 0.005)", "metavar": "X"}
    )
    nms_thres: float | None = field(
        default=None,
        metadata={
            "help": "of two boxes of a class that overlap by more, one goes (default: 0.6; darknet: 0.45)",
            "metavar": "X",
        },
    )
    nms_kind: NmsKind | None = field(
        default=None,
        metadata={"help": "what overlap means: IoU, or DIoU (default: greedy; darknet: nms_kind of the cfg)"},
    )
    max_detections: int = field(
        default=0,
        metadata={"help": "the best so many of an image, 0: all (COCO counts 100 of each class)", "metavar": "N"},
    )
    resize: Resize | None = field(
        default=None,
        metadata={"help": "how images are scaled (default: half-pixel, as OpenCV; darknet: align-corners)"},
    )
    rect: bool = field(
        default=False,
        metadata={"help": "letterbox with no more border than the stride needs: faster, other numbers"},
    )
    fuse: bool = field(default=True, metadata={"help": "fold batch norms into their convolutions"})
    img_size: tuple[int, int] | None = None
    letterbox: bool | None = None
    batch_size: int = 16
    workers: int = 0
    progress: bool = False

    def __post_init__(self) -> None:
        ScoreSettings.__post_init__(self)
        if self.batch_size < 1:
            raise UsageError(f"--batch-size {self.batch_size} must be at least 1")
        if self.rect and self.letterbox is False:
            raise UsageError("--rect is a letterbox without border: it does not go with --stretch")
        _ = self.nms  # its own checks name the thresholds

    def for_source(self, source: str) -> EvaluateSettings:
        """With the protocol and what follows from it settled, for a data set's `SampleSet.source`. Raises UsageError
        where a setting of Darknet's protocol meets another one."""
        settings = ScoreSettings.for_source(self, source)
        darknet, conf, iou = settings.ap == "darknet", self.nms.conf, self.nms.iou
        if darknet:
            conf = 0.005 if self.conf_thres is None else self.conf_thres
            iou = 0.45 if self.nms_thres is None else self.nms_thres
        resize = self.resize or ("align-corners" if darknet else "half-pixel")
        return replace(self, ap=settings.ap, conf_thres=conf, nms_thres=iou, resize=resize)

    @property
    def nms(self) -> NmsSettings:
        """Several classes per box."""
        return NmsSettings(
            conf=0.001 if self.conf_thres is None else self.conf_thres,
            iou=0.6 if self.nms_thres is None else self.nms_thres,
            max_detections=self.max_detections,
            kind=self.nms_kind or "greedy",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSettings:
    """What an evaluation shows and keeps beside its summary."""

    per_class: bool = field(default=False, metadata={"help": "show each class"})
    save_json: bool = field(default=False, metadata={"help": "write detections.json, a COCO results file"})
    plots: bool = field(default=True, metadata={"help": "draw curves, confusion matrix and worst images into --out"})
