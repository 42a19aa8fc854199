"""The option groups that commands share: which network, which data, which images, how and where to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prune.errors import UsageError
from prune.loading.workers import parse_workers
from prune.settings import AT_LEAST_ONE, NOT_NEGATIVE, Interval, check_options, option


def require(condition: bool, message: str) -> None:
    """Raise UsageError(message) unless `condition` holds."""
    if not condition:
        raise UsageError(message)


def parse_size(text: str) -> tuple[int, int]:
    """`416` or `640x384` as (width, height) in pixels."""
    width, _, height = text.lower().partition("x")
    size = int(width), int(height or width)
    if min(size) < 1:
        raise ValueError(text)
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkArgs:
    """A network: its two files."""

    cfg: Path = field(metadata={"help": "the network definition (Darknet cfg)", "metavar": "FILE"})
    weights: Path = field(metadata={"help": "its weights (.weights or our .pt)", "metavar": "FILE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StartArgs:
    """A network to train and its initial weights; without weights it is newly initialised."""

    cfg: Path = field(metadata={"help": "the network definition (Darknet cfg)", "metavar": "FILE"})
    weights: Path | None = option(
        None, "initial weights (.weights, also partial such as yolov3-tiny.conv.15, or our .pt)", metavar="FILE"
    )
    weights_cfg: Path | None = option(
        None, "the cfg of --weights if it differs from --cfg: layers of equal shape are copied", metavar="FILE"
    )

    def __post_init__(self) -> None:
        require(self.weights_cfg is None or self.weights is not None, "--weights-cfg needs --weights: it is their cfg")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataArgs:
    """A dataset."""

    data: Path = field(metadata={"help": "the .data file: classes, train, valid, names", "metavar": "FILE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MaybeDataArgs:
    """A dataset, for commands that do not require one."""

    data: Path | None = option(None, "a .data file; with it the networks are evaluated", metavar="FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageArgs:
    """How images enter the network. `img_size` is (width, height); None: as in the cfg's [net]."""

    img_size: tuple[int, int] | None = option(
        None,
        "network input, N or WxH, multiples of the largest stride (default: the cfg's)",
        metavar="N",
        parse=parse_size,
    )
    letterbox: bool | None = option(
        None,
        "keep the aspect ratio; --stretch: do not (default: letter_box of the cfg; training: --letterbox)",
        off="stretch",
    )
    batch_size: int = option(16, "images per step", metavar="N", within=AT_LEAST_ONE)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArgs:
    """Where and how a command runs, and what it writes."""

    out: Path | None = option(None, "folder for the results", metavar="DIR")
    overwrite: bool = option(False, "replace earlier results in --out")
    device: str = option("auto", "auto, cpu, cuda or cuda:N")
    workers: int | None = option(
        None,
        "processes that load images; 0: a thread of this one; auto: 0, but one per core for training on a GPU "
        "(default: auto)",
        metavar="N",
        within=NOT_NEGATIVE,
        parse=parse_workers,
    )
    seed: int = option(0, "random seed", metavar="N", within=Interval(0, 2**31 - 1))
    json: str | None = option(
        None, "also write the summary as JSON to FILE; -: to standard output, everything else to stderr", metavar="FILE"
    )
    quiet: bool = option(False, "no progress bars, no tables")

    def __post_init__(self) -> None:
        check_options(self)
