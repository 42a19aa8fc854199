"""The interface through which sparsity and distillation extend the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of images with their objects.

    `imgs` (B, C, H, W) in [0, 1], RGB or grayscale as the network needs; `targets` (N, 6): image in the batch,
    class, cxcywh normalised; `size_wh` in pixels.
    """

    imgs: Tensor
    targets: Tensor
    size_wh: tuple[int, int]


@dataclass(frozen=True, slots=True)
class StepInfo:
    """Where training stands: `epoch` and `step` count from 0, `lr` is the learning rate of this step."""

    epoch: int
    step: int
    lr: float
    optimizer: Optimizer


class Hook:
    """Does nothing; override the methods needed."""

    def epoch_start(self, epoch: int) -> None:
        """Called before the first step of `epoch`."""

    def loss(self, raw: list[Tensor], batch: Batch) -> Mapping[str, Tensor]:
        """Scalar terms to add to the loss, each a mean per image of the batch, keyed by their column in results.csv.
        `raw`: the inputs of the network's heads.
        """
        return {}

    def before_step(self, info: StepInfo) -> None:
        """May change the gradients, which are unscaled, clipped, and a mean per image of the effective batch."""

    def after_step(self, info: StepInfo) -> None:
        """May change the weights after the optimiser's step."""

    def epoch_end(self, epoch: int) -> dict[str, float]:
        """Values for the log line and results.csv; the same keys every epoch."""
        return {}

    def snapshot_name(self, epoch: int) -> str | None:
        """A file name under which the checkpoint of this epoch is kept permanently; None: it is not."""
        return None
