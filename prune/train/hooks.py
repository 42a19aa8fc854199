"""The interface through which sparsity and distillation extend the training loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
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
    """Where training stands: `epoch` and `step` count from 0, `lr` is the learning rate of this step.

    `travel`: how far a unit gradient at this step moves a weight in the end: lr / (1 - momentum) with SGD, else lr.
    """

    epoch: int
    step: int
    lr: float
    optimizer: Optimizer
    travel: float = 0.0


class Hook:
    """Does nothing; override the methods needed. `name`: under which its `state` is kept in a checkpoint."""

    name = ""

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

    def settle(self, model: nn.Module, averaged: nn.Module) -> None:
        """May change the averaged network at the end of an epoch, before it is evaluated and saved."""

    def counts(self, epoch: int) -> bool:
        """Whether the network after `epoch` is a candidate for the best one."""
        return True

    def state(self) -> dict[str, Any]:
        """What the hook has to remember from epoch to epoch: tensors and plain values by name."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take a `state` back from a checkpoint. Raises UsageError where it is of another kind of run."""

    def snapshot_name(self, epoch: int) -> str | None:
        """A file name under which the checkpoint of this epoch is kept permanently; None: it is not."""
        return None


def hook_states(hooks: Sequence[Hook]) -> dict[str, Any]:
    """The states of all hooks, keyed `name.key`."""
    return {f"{hook.name}.{key}": value for hook in hooks for key, value in hook.state().items()}


def restore_hooks(hooks: Sequence[Hook], states: Mapping[str, Any]) -> None:
    """Give each hook its part of `hook_states` back."""
    for hook in hooks:
        own = f"{hook.name}."
        hook.restore({key.removeprefix(own): value for key, value in states.items() if key.startswith(own)})
