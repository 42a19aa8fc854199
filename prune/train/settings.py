"""Settings of training.

Plain values (no torch here): commands make their flags from them before torch is imported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from prune.errors import UsageError
from prune.loading.cache_choice import CacheMode
from prune.plan.amount import Amount, parse_amount, parse_measured
from prune.plan.target import MEASURES, given_amounts
from prune.settings import AT_LEAST_ONE, BELOW_ONE, FRACTION, NOT_NEGATIVE, POSITIVE, Interval, check_options, option
from prune.train.penalties import PENALTIES
from prune.train.strategies import STRATEGIES

Optimizer = Literal["sgd", "adamw"]
Amp = Literal["off", "auto", "bf16", "fp16"]
AMPS: tuple[Amp, ...] = get_args(Amp)
DEFAULT_LR = {"sgd": 0.01, "adamw": 0.001}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How a network is trained. Epochs and steps count from 0; a step is one update by the optimiser."""

    epochs: int = option(100, "passes over the training images", metavar="N", within=AT_LEAST_ONE)
    lr: float | None = option(None, "peak learning rate (default: 0.001 adamw, 0.01 sgd)", metavar="X", within=POSITIVE)
    lr_final: float = option(
        0.01, "final learning rate of the cosine, as a fraction of --lr", metavar="X", within=Interval(0, 1, "(]")
    )
    warmup: float = option(
        3.0, "epochs of linear warm-up, at most a tenth of --epochs", metavar="X", within=NOT_NEGATIVE
    )
    momentum: float = option(0.9, "momentum of sgd (beta1 of adamw)", metavar="X", within=BELOW_ONE)
    weight_decay: float = option(
        5e-4,
        "weight decay of convolution weights only, not of gamma, beta or biases",
        metavar="X",
        within=NOT_NEGATIVE,
    )
    optimizer: Optimizer = option("sgd", "adamw, or sgd with Nesterov momentum")
    accumulate: int = option(1, "accumulate gradients over N batches", metavar="N", within=AT_LEAST_ONE)
    clip: float = option(10.0, "gradient-norm clipping (0: off)", metavar="X", within=NOT_NEGATIVE)
    ema: float = option(0.9998, "maximum EMA decay; it ramps up as (1+t)/(10+t)", metavar="X", within=BELOW_ONE)
    multi_scale: bool = option(False, "random input size, 0.67–1.33 × --img-size, new every 10 batches")
    rect: bool = option(False, "use a rectangular input that fits the median shape of the training images")
    mosaic_until: float = option(0.9, "fraction of the epochs after which mosaic is off", metavar="X", within=FRACTION)
    cache: CacheMode = option(
        "auto",
        "keep the decoded images: ram in memory, disk in a file in --out, off not; auto: ram if they take at most a "
        "quarter of the free memory, else disk if at most a tenth of the free space, else off",
    )
    cache_images: bool = option(False, "the same as --cache ram")
    amp: Amp = option(
        "off",
        "mixed precision: auto (also --amp alone) is bf16 where the GPU or the CPU computes in it (doctor shows it), "
        "else fp16 on a GPU, off on the CPU",
        choices=AMPS,
        const="auto",
    )
    compile: bool = option(False, "compile the network with torch.compile: minutes at the start, pays on a GPU")
    sync_bn: bool = option(False, "batch statistics over the images of all processes, if there are several")
    channels_last: bool = option(True, "use the channels-last (NHWC) memory format")
    eval_interval: int = option(
        0,
        "epochs between evaluations; 0: as often as takes at most a tenth of the time",
        metavar="N",
        within=NOT_NEGATIVE,
    )
    freeze: int = option(
        0,
        "freeze the first N layers; 0: those up to stopbackward=1 of the cfg (with --resume: those frozen before)",
        metavar="N",
        within=NOT_NEGATIVE,
    )
    resume: str | None = option(
        None, "resume from this checkpoint (without FILE: last.pt in --out)", metavar="FILE", const=""
    )

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def cache_mode(self) -> CacheMode:
        """`cache`, or what the older flag says."""
        return "ram" if self.cache_images else self.cache

    @property
    def top_lr(self) -> float:
        """The peak learning rate: `lr`, or the optimiser's default."""
        return DEFAULT_LR[self.optimizer] if self.lr is None else self.lr

    def resume_path(self, out: Path) -> Path | None:
        """The checkpoint to resume from, if any."""
        if self.resume is None:
            return None
        return Path(self.resume) if self.resume else out / "last.pt"


SparsityMode = Literal["constant", "global-decay", "local-decay"]
MODES: tuple[SparsityMode, ...] = get_args(SparsityMode)


def parse_mode(text: str) -> str:
    """A mode by its name or by its number, 1 to 3."""
    return MODES[int(text) - 1] if text in ("1", "2", "3") else text


def parse_strength(text: str) -> float | None:
    """A strength, or None for `auto`."""
    if text == "auto":
        return None
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


PLANNED_PERCENT = 0.8
DEFAULT_TARGET = Amount(0.25, relative=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SparsitySettings:
    """A penalty on the gammas of batch norm (Liu et al. 2017, "Network Slimming", section 3: L1).

    s: None means auto.
    """

    s: float | None = option(
        None,
        "strength of the penalty, such as 0.005; auto: steered during the run, so that the target is met (default: "
        "auto)",
        flags=("-s",),
        parse=parse_strength,
        metavar="X",
        within=NOT_NEGATIVE,
    )
    target_params: Amount | None = option(
        None,
        "with --s auto: parameters to be left, such as 0.15x or 1.2M (default: 0.25x)",
        parse=parse_amount,
        metavar="N",
    )
    target_bflops: Amount | None = option(
        None,
        "with --s auto: BFLOPs to be left at the size of the cfg instead, such as 0.25x or 1.8",
        parse=parse_measured,
        metavar="N",
    )
    target_mb: Amount | None = option(
        None,
        "with --s auto: MB of the weights file (10^6 bytes) to be left instead, such as 0.3x or 3.5",
        parse=parse_measured,
        metavar="N",
    )
    target_percent: float | None = option(
        None,
        "fraction of the channels you plan to prune: with --s auto the target instead of --target-params, else warn if "
        "s is too small for it (default: 0.8)",
        metavar="X",
        within=BELOW_ONE,
    )
    penalty: str = option("l1", "penalty that pulls the gammas to 0", choices=PENALTIES)
    equalize: bool = option(
        False,
        "first make the gammas of one size, exactly: whatever reads a channel is multiplied by what its gamma is "
        "divided by",
        off="no-equalize",
    )
    sr_mode: SparsityMode = option(
        "constant",
        "1 constant: s throughout; 2 global-decay: s * alpha after --decay-at; "
        "3 local-decay: after --decay-at only the --local-percent smallest gammas keep s",
        parse=parse_mode,
    )
    decay_at: float = option(
        0.5,
        "fraction of the epochs after which modes 2 and 3 decay s; mid.pt is saved there",
        metavar="X",
        within=FRACTION,
    )
    alpha: float = option(0.01, "factor by which s decays", metavar="X", within=FRACTION)
    local_percent: float = option(
        0.85, "fraction of the gammas, smallest first, that keep s in mode 3", metavar="X", within=FRACTION
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.s is None and self.sr_mode != "constant":
            raise UsageError(f"--sr-mode {self.sr_mode} needs a strength: pass --s X")
        for name in self.targets():
            if self.s is not None or self.target_percent is not None:
                other = "--s auto" if self.s is not None else "without --target-percent"
                raise UsageError(f"{MEASURES[name].flag} only works {'with ' * (self.s is not None)}{other}")
        if len(self.targets()) > 1:
            flags = " and ".join(MEASURES[name].flag for name in self.targets())
            raise UsageError(f"{flags}: sparse training steers towards one target; give one of them")

    def targets(self) -> dict[str, Amount]:
        """The given targets by the name of their measure."""
        return given_amounts(self)

    @property
    def given_s(self) -> float:
        """The strength that was given; 0 with auto."""
        return self.s or 0.0

    @property
    def planned_percent(self) -> float:
        """The fraction of the channels that a fixed s should make sparse."""
        return PLANNED_PERCENT if self.target_percent is None else self.target_percent


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillSettings:
    """Knowledge distillation from a teacher with the same heads; each strategy has its own settings."""

    strategy: str = option(
        "task",
        "soft-target: the teacher's class and objectness outputs; task: those, and boxes bounded by the teacher's",
        flags=("--distill",),
        choices=STRATEGIES,
    )
    distill_weight: float = option(
        1.0, "weight of the distillation term, added to the usual loss", metavar="X", within=NOT_NEGATIVE
    )

    def __post_init__(self) -> None:
        check_options(self)
