"""Settings of training.

Plain values (no torch here): commands make their flags from them before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prune.errors import UsageError

Optimizer = Literal["sgd", "adamw"]
DEFAULT_LR = {"sgd": 0.01, "adamw": 0.001}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How a network is trained. Epochs and steps count from 0; a step is one update by the optimiser."""

    epochs: int = field(default=100, metadata={"help": "passes over the training images", "metavar": "N"})
    lr: float | None = field(
        default=None,
        metadata={
            "help": "highest learning rate; if not given 0.001 for adamw, 0.01 for sgd",
            "metavar": "X",
        },
    )
    lr_final: float = field(default=0.01, metadata={"help": "the cosine ends at this share of --lr", "metavar": "X"})
    warmup: float = field(
        default=3.0, metadata={"help": "epochs of linear warm-up, at most a tenth of all", "metavar": "X"}
    )
    momentum: float = field(default=0.9, metadata={"help": "of SGD (beta1 of adamw)", "metavar": "X"})
    weight_decay: float = field(
        default=5e-4,
        metadata={"help": "on convolution weights only, never on gamma, beta or biases", "metavar": "X"},
    )
    optimizer: Optimizer = field(default="sgd", metadata={"help": "adamw, or sgd (Nesterov)"})
    accumulate: int = field(
        default=1, metadata={"help": "batches per step; the loss stays a mean per image", "metavar": "N"}
    )
    clip: float = field(default=10.0, metadata={"help": "largest norm of the gradient; 0: no limit", "metavar": "X"})
    ema: float = field(
        default=0.9998,
        metadata={
            "help": "highest decay of the averaged weights; it ramps up as (1+t)/(10+t)",
            "metavar": "X",
        },
    )
    multi_scale: bool = field(default=False, metadata={"help": "another input size, 0.67 to 1.33 times, each step"})
    rect: bool = field(
        default=False,
        metadata={"help": "a rectangular input that fits the median shape of the training images"},
    )
    mosaic_until: float = field(
        default=0.9,
        metadata={"help": "the share of the epochs after which there is no mosaic", "metavar": "X"},
    )
    cache_images: bool = field(default=False, metadata={"help": "keep the decoded images in memory"})
    amp: bool = field(default=False, metadata={"help": "mixed precision: fp16 on cuda, bf16 on cpu"})
    channels_last: bool = field(default=True, metadata={"help": "memory format of the network"})
    eval_interval: int = field(
        default=0,
        metadata={
            "help": "epochs between evaluations; 0: as often as costs less than a tenth of the time",
            "metavar": "N",
        },
    )
    freeze: int = field(
        default=0,
        metadata={
            "help": "the first N layers keep their weights; 0: those up to stopbackward=1 of the cfg "
            "(with --resume: those frozen before)",
            "metavar": "N",
        },
    )
    resume: str | None = field(
        default=None,
        metadata={
            "help": "go on from this checkpoint (without FILE: last.pt in --out)",
            "metavar": "FILE",
            "const": "",
        },
    )

    def __post_init__(self) -> None:
        _check("--epochs", self.epochs, self.epochs >= 1, "at least 1")
        _check("--accumulate", self.accumulate, self.accumulate >= 1, "at least 1")
        _check("--lr", self.lr, self.lr is None or self.lr > 0, "positive")
        _check("--lr-final", self.lr_final, 0 < self.lr_final <= 1, "within (0, 1]")
        _check("--warmup", self.warmup, self.warmup >= 0, "0 or more")
        _check("--momentum", self.momentum, 0 <= self.momentum < 1, "within [0, 1)")
        _check("--ema", self.ema, 0 <= self.ema < 1, "within [0, 1)")
        _check("--weight-decay", self.weight_decay, self.weight_decay >= 0, "0 or more")
        _check("--clip", self.clip, self.clip >= 0, "0 or more")
        _check("--mosaic-until", self.mosaic_until, 0 <= self.mosaic_until <= 1, "within [0, 1]")
        _check("--freeze", self.freeze, self.freeze >= 0, "0 or more")
        _check("--eval-interval", self.eval_interval, self.eval_interval >= 0, "0 or more")

    @property
    def top_lr(self) -> float:
        """The highest learning rate: `lr`, or the optimiser's default."""
        return DEFAULT_LR[self.optimizer] if self.lr is None else self.lr

    def resume_path(self, out: Path) -> Path | None:
        """The checkpoint to go on from, if any."""
        if self.resume is None:
            return None
        return Path(self.resume) if self.resume else out / "last.pt"


SparsityMode = Literal["constant", "global-decay", "local-decay"]
MODES: tuple[SparsityMode, ...] = ("constant", "global-decay", "local-decay")


def parse_mode(text: str) -> str:
    """A mode by its name or by its number, 1 to 3."""
    return MODES[int(text) - 1] if text in ("1", "2", "3") else text


@dataclass(frozen=True, slots=True, kw_only=True)
class SparsitySettings:
    """L1 on the gammas of batch norm (Liu et al. 2017, "Network Slimming", section 3)."""

    s: float = field(
        default=0.001,
        metadata={
            "flags": ("-s",),
            "help": "strength: s * sign(gamma) joins the gradient at each step",
            "metavar": "X",
        },
    )
    sr_mode: SparsityMode = field(
        default="constant",
        metadata={
            "help": "1 constant: s throughout; 2 global-decay: s * alpha after --decay-at; "
            "3 local-decay: after --decay-at only the --local-percent smallest gammas keep s",
            "parse": parse_mode,
        },
    )
    decay_at: float = field(
        default=0.5,
        metadata={
            "help": "the share of the epochs after which modes 2 and 3 decay; mid.pt is kept there",
            "metavar": "X",
        },
    )
    alpha: float = field(default=0.01, metadata={"help": "what decay multiplies s by", "metavar": "X"})
    local_percent: float = field(
        default=0.85,
        metadata={"help": "the share of the gammas, smallest first, that keeps s in mode 3", "metavar": "X"},
    )
    target_percent: float = field(
        default=0.8,
        metadata={
            "help": "the share of channels you mean to prune: warn where s cannot make it sparse",
            "metavar": "X",
        },
    )

    def __post_init__(self) -> None:
        _check("--s", self.s, self.s >= 0, "0 or more")
        _check("--decay-at", self.decay_at, 0 <= self.decay_at <= 1, "within [0, 1]")
        _check("--alpha", self.alpha, 0 <= self.alpha <= 1, "within [0, 1]")
        _check("--local-percent", self.local_percent, 0 <= self.local_percent <= 1, "within [0, 1]")
        _check("--target-percent", self.target_percent, 0 <= self.target_percent < 1, "within [0, 1)")


Strategy = Literal["soft-target", "task"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillSettings:
    """Knowledge distillation from a teacher with the same heads."""

    strategy: Strategy = field(
        default="task",
        metadata={
            "flags": ("--distill",),
            "help": "soft-target: the teacher's class and objectness outputs; "
            "task: those, and boxes bounded by the teacher's",
        },
    )
    distill_weight: float = field(
        default=1.0,
        metadata={"help": "weight of the distillation term beside the usual loss", "metavar": "X"},
    )
    temperature: float = field(default=2.0, metadata={"help": "of soft-target", "metavar": "X"})
    box_weight: float = field(
        default=0.5, metadata={"help": "task: weight of the teacher-bounded box term", "metavar": "X"}
    )
    margin: float = field(
        default=0.0,
        metadata={
            "help": "task: how much nearer than the teacher a box must be to be left alone (squared error)",
            "metavar": "X",
        },
    )
    background: float = field(
        default=1.5,
        metadata={"help": "task: weight of background against objects in objectness", "metavar": "X"},
    )

    def __post_init__(self) -> None:
        _check("--temperature", self.temperature, self.temperature > 0, "positive")
        _check("--distill-weight", self.distill_weight, self.distill_weight >= 0, "0 or more")
        _check("--box-weight", self.box_weight, self.box_weight >= 0, "0 or more")


def _check(flag: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        raise UsageError(f"{flag} {value} must be {rule}")
