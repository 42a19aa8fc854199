"""Settings of detect.py: plain values, no torch, so that parsing flags is fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prune.darknet.datafile import read_datafile, read_names
from prune.darknet.netdef import NetDef
from prune.detect.settings import NmsSettings
from prune.errors import UsageError
from prune.samples.channels import check_channels
from prune.settings import AT_LEAST_ONE, BELOW_ONE, FRACTION, check_options, option


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesArgs:
    """Where the classes' names come from; without either they are numbers."""

    names: Path | None = option(None, "names of the classes, one per line", metavar="FILE")
    data: Path | None = option(None, "or a .data file that has them", metavar="FILE")

    def __post_init__(self) -> None:
        if self.names and self.data:
            raise UsageError("--names and --data both name the classes; pass one of them")

    def read(self, classes: int, own: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """The names; where none were given `own`, those that the network's file contains, else numbers, `classes` of
        them."""
        if self.data:
            return read_datafile(self.data).names
        if self.names:
            return read_names(self.names)
        return own or tuple(f"class {number}" for number in range(classes))


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectSettings:
    """What counts as a detection, and which files are written. `img_size`, `letterbox`: None uses the cfg's."""

    conf_thres: float = option(0.25, "lowest score of a detection", metavar="X", within=BELOW_ONE)
    nms_thres: float = option(0.45, "IoU threshold of NMS", metavar="X", within=FRACTION)
    save_txt: bool = option(False, "write labels/NAME.txt, one line `class cx cy w h score` per detection")
    save_json: bool = option(
        False, "write detections.json, COCO's results with file names (of --compare: the first network's)"
    )
    save_crop: bool = option(False, "write each detection as crops/CLASS/NAME_001.jpg")
    img_size: tuple[int, int] | None = None
    letterbox: bool | None = None
    batch_size: int = option(4, "images per step", within=AT_LEAST_ONE)

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def nms(self) -> NmsSettings:
        """Each box only under its likeliest class, since people read the pictures."""
        return NmsSettings(conf=self.conf_thres, iou=self.nms_thres, multi_label=False)


def check_names(netdef: NetDef, names: Sequence[str]) -> None:
    """Raise CfgError unless images can be read for the network, UsageError unless it has as many classes as names."""
    check_channels(netdef)
    known = class_count(netdef)
    if known != len(names):
        problem = f"{netdef.path} has {known} classes, but there are {len(names)} names"
        raise UsageError(f"{problem}; pass those that it was trained for with --names or --data")


def class_count(netdef: NetDef) -> int:
    """How many classes the network has."""
    return max((head.classes for head in netdef.heads), default=0)
