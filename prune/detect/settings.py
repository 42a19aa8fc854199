"""Settings of the loss, of suppression and of evaluation: plain values, no torch, so that parsing flags is fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from prune.errors import UsageError
from prune.metrics.settings import ScoreSettings
from prune.samples.fit import Resize
from prune.settings import AT_LEAST_ONE, BELOW_ONE, FRACTION, NOT_NEGATIVE, POSITIVE, check_options, option

IouKind = Literal["iou", "giou", "diou", "ciou"]
NmsKind = Literal["greedy", "diou"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """How predictions are compared with the targets; see `prune.detect.loss` for the formulas."""

    box_loss: IouKind = option("ciou", "IoU variant of the box loss")
    box_gain: float = option(3.5, "weight of the box loss", metavar="X", within=NOT_NEGATIVE)
    obj_gain: float = option(64.0, "weight of the objectness loss", metavar="X", within=NOT_NEGATIVE)
    cls_gain: float = option(1.0, "weight of the class loss", metavar="X", within=NOT_NEGATIVE)
    match_iou: float | None = option(
        0.213,
        "also assign an object to anchors whose shape IoU exceeds this (Darknet's iou_thresh; 1: the best anchor only)",
        metavar="X",
        within=FRACTION,
    )
    ignore_iou: float | None = option(
        None,
        "unassigned boxes above this IoU are ignored in the objectness loss (default: ignore_thresh of the cfg)",
        metavar="X",
        within=FRACTION,
    )
    iou_objectness: float = option(
        0.0,
        "weight of the box's IoU in its objectness target (0, as in Darknet: the target is 1)",
        metavar="X",
        within=FRACTION,
    )
    label_smoothing: float | None = option(
        None,
        "label smoothing of the class targets (default: label_smooth_eps of the cfg)",
        metavar="X",
        within=FRACTION,
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True)
class NmsSettings:
    """How detections are selected.

    conf: a detection needs objectness · class probability above it. iou: of two boxes of one class that
    overlap by more, the lower-scored is removed. multi_label: one box may be reported under several classes
    (usual for COCO; else only its likeliest). max_detections: at most this many per image, the best, 0 = no limit.
    kind: how overlap is measured: by the IoU, or for `diou` the IoU less `(d²/c²)^beta`, d being the distance of the
    centres and c the diagonal of the box around both (Zheng et al. 2020, section 3.4, where beta is 1; Darknet's
    `greedynms` has 0.6, its `diounms` the cfg's `beta_nms`). max_candidates: at most this many pairs of box and
    class per image are considered, the best, 0 = no limit.
    """

    conf: float = option(0.001, "lowest score", within=BELOW_ONE, label="the confidence threshold")
    iou: float = option(0.6, "largest overlap", within=FRACTION, label="the NMS threshold")
    multi_label: bool = True
    max_detections: int = option(0, "per image", within=NOT_NEGATIVE, label="the limit on detections")
    kind: NmsKind = "greedy"
    max_candidates: int = option(30_000, "per image", within=NOT_NEGATIVE, label="the limit on candidates")
    beta: float = option(1.0, "exponent of DIoU", within=POSITIVE, label="the exponent of DIoU-NMS")

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings(ScoreSettings):
    """How a network is evaluated: how its detections are made, and how they are scored. Thresholds, resize and kind of
    NMS follow the protocol where they are None, `img_size` and `letterbox` the network's cfg.

    `img_size`: (width, height) of the network's input in pixels. `rect`: letterbox without the border, as far as
    the stride allows. `fuse`: fold batch norms into their convolutions first (the same numbers to about 1e-6).
    """

    conf_thres: float | None = option(
        None, "lowest score that counts (default: 0.001; darknet: 0.005)", metavar="X", within=BELOW_ONE
    )
    nms_thres: float | None = option(
        None,
        "IoU threshold of NMS (default: 0.6; darknet: 0.45)",
        metavar="X",
        within=FRACTION,
    )
    nms_kind: NmsKind | None = option(
        None, "measure of overlap: IoU (greedy) or DIoU (default: greedy; darknet: nms_kind of the cfg)"
    )
    max_detections: int = option(
        0,
        "keep at most N detections per image (0: no limit; COCO counts 100 of each class)",
        metavar="N",
        within=NOT_NEGATIVE,
    )
    resize: Resize | None = option(
        None, "how images are scaled (default: half-pixel, as OpenCV; darknet: align-corners)"
    )
    rect: bool = option(False, "letterbox with no more border than the stride needs: faster, but the metrics differ")
    fuse: bool = option(True, "fold batch norms into their convolutions")
    img_size: tuple[int, int] | None = None
    letterbox: bool | None = None
    batch_size: int = option(16, "images per step", within=AT_LEAST_ONE)
    workers: int = 0
    progress: bool = False

    def __post_init__(self) -> None:
        ScoreSettings.__post_init__(self)
        if self.rect and self.letterbox is False:
            raise UsageError("--rect is a letterbox without border and cannot be combined with --stretch")

    def for_source(self, source: str) -> EvaluateSettings:
        """With the protocol and what depends on it chosen, for a dataset's `SampleSet.source`. Raises UsageError where
        a setting of Darknet's protocol is combined with another protocol."""
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
    """What an evaluation shows and writes besides its summary."""

    per_class: bool = option(False, "show each class")
    save_json: bool = option(False, "write detections.json, a COCO results file")
    plots: bool = option(True, "draw curves, confusion matrix and worst images into --out")
