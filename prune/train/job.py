"""The description of a training run. Plain values, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prune.detect.settings import LossSettings
from prune.loading.augment import AugmentSettings
from prune.metrics.settings import Protocol
from prune.train.settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A training run.

    `img_size`: (width, height) in pixels; None: the cfg's. `ap`: the protocol; None: coco for COCO data, else voc10.
    `workers`: as in `choose_workers`.
    `outputs`: names of all files that the command writes into `out`.
    """

    cfg: Path
    data: Path
    out: Path
    weights: Path | None = None
    weights_cfg: Path | None = None
    img_size: tuple[int, int] | None = None
    letterbox: bool = True
    batch_size: int = 16
    device: str = "auto"
    workers: int | None = None
    seed: int = 0
    quiet: bool = False
    ap: Protocol | None = None
    outputs: tuple[str, ...] = ()
    train: TrainSettings = field(default_factory=TrainSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    @property
    def resume(self) -> Path | None:
        """The checkpoint to resume from, if any."""
        return self.train.resume_path(self.out)

    @property
    def continues(self) -> bool:
        """Whether the run continues in its own folder, so that the files there are its own."""
        return self.resume is not None and self.resume.resolve() == (self.out / "last.pt").resolve()
