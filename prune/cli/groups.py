"""The option groups that commands share: which network, which data, which images, how and where to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prune.errors import UsageError


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
    """A network: both of its files."""

    cfg: Path = field(metadata={"help": "the network definition (Darknet cfg)", "metavar": "FILE"})
    weights: Path = field(metadata={"help": "its weights (.weights or our .pt)", "metavar": "FILE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StartArgs:
    """A network to train and the weights it starts from; without weights it starts fresh."""

    cfg: Path = field(metadata={"help": "the network definition (Darknet cfg)", "metavar": "FILE"})
    weights: Path | None = field(
        default=None,
        metadata={
            "help": "start from these (.weights, also partial as yolov3-tiny.conv.15, or our .pt)",
            "metavar": "FILE",
        },
    )
    weights_cfg: Path | None = field(
        default=None,
        metadata={
            "help": "the cfg of --weights, where it is another: layers of equal shape are taken over",
            "metavar": "FILE",
        },
    )

    def __post_init__(self) -> None:
        require(self.weights_cfg is None or self.weights is not None, "--weights-cfg needs --weights: it is their cfg")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataArgs:
    """A data set."""

    data: Path = field(metadata={"help": "the .data file: classes, train, valid, names", "metavar": "FILE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MaybeDataArgs:
    """A data set where the command can do without."""

    data: Path | None = field(
        default=None, metadata={"help": "a .data file; with it the networks are evaluated", "metavar": "FILE"}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageArgs:
    """How images enter the network. `img_size` is (width, height); None leaves it to the cfg's [net]."""

    img_size: tuple[int, int] | None = field(
        default=None,
        metadata={
            "help": "network input, N or WxH, multiples of the largest stride (default: the cfg's)",
            "metavar": "N",
            "parse": parse_size,
        },
    )
    letterbox: bool | None = field(
        default=None,
        metadata={
            "help": "keep the aspect ratio; --stretch does not (default: letter_box of the cfg; training: --letterbox)",
            "off": "stretch",
        },
    )
    batch_size: int = field(default=16, metadata={"help": "images per step", "metavar": "N"})

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, f"--batch-size {self.batch_size} must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArgs:
    """Where a run happens and what it leaves behind."""

    out: Path | None = field(default=None, metadata={"help": "folder for the results", "metavar": "DIR"})
    overwrite: bool = field(default=False, metadata={"help": "replace earlier results in --out"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda or cuda:N"})
    workers: int = field(default=0, metadata={"help": "processes that load images (0: this one)", "metavar": "N"})
    seed: int = field(default=0, metadata={"help": "seed of everything random", "metavar": "N"})
    json: str | None = field(
        default=None,
        metadata={
            "help": "write the summary as JSON to FILE too; -: to standard output, all else to stderr",
            "metavar": "FILE",
        },
    )
    quiet: bool = field(default=False, metadata={"help": "no progress bars, no tables"})

    def __post_init__(self) -> None:
        require(self.workers >= 0, f"--workers {self.workers} must not be negative")
        require(0 <= self.seed < 2**31, f"--seed {self.seed} must be within 0 .. 2147483647")
