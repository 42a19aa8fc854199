"""What sparsity and distillation may add to the one training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class Batch:
    """`imgs` (B, C, H, W) in [0, 1], RGB or grayscale as the network reads them;

    `targets` (N, 6): image in the batch, class, cxcywh normalised; size in pixels.
    """

    imgs: Tensor
    targets: Tensor
    size_wh: tuple[int, int]


@dataclass(frozen=True, slots=True)
class StepInfo:
    """Where training stands: `epoch` and `step` count from 0, `lr` is the rate of this step."""

    epoch: int
    step: int
    lr: float
    optimizer: Optimizer


class Hook:
    """Does nothing; override what is needed."""

    def epoch_start(self, epoch: int) -> None:
        """Before the first step of `epoch`."""

    def loss(self, raw: list[Tensor], batch: Batch) -> Mapping[str, Tensor]:
        """Terms () to add to the loss, each a mean per image of the batch, by the names of their columns in
        results.csv. `raw`: the network's head inputs.
        """
        return {}

    def before_step(self, info: StepInfo) -> None:
        """Change gradients: they are unscaled, clipped, and the mean per image of the effective batch."""

    def after_step(self, info: StepInfo) -> None:
        """Change weights after the optimiser has."""

    def epoch_end(self, epoch: int) -> dict[str, float]:
        """Values for the log line and results.csv; the same keys every epoch."""
        return {}

    def keep_copy(self, epoch: int) -> str | None:
        """A name under which the checkpoint of this epoch is kept for good."""
        return None
