"""One optimiser update: forward, loss, backward, clip, step, average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import SGD, Optimizer
from torch.optim.swa_utils import AveragedModel

from prune.errors import TrainingError
from prune.train.hooks import Batch, Hook, StepInfo
from prune.train.meter import Meter, all_finite, shown
from prune.train.optim import set_rates
from prune.train.schedule import Schedule

CHECKED_EVERY = 50
"""Steps between two checks for values that are not finite, where reading a value waits for the device."""
CLIP_MARGIN = 1e-6
"""What torch's clipping adds to the norm."""


class Losses(Protocol):
    """What a criterion returns: scalars, each a mean per image of the batch."""

    @property
    def total(self) -> Tensor: ...
    @property
    def box(self) -> Tensor: ...
    @property
    def obj(self) -> Tensor: ...
    @property
    def cls(self) -> Tensor: ...


Criterion = Callable[[list[Tensor], Batch], Losses]


class Updater:
    """Updates the network, its average and the optimiser.

    `model` may be wrapped for DDP. `precision`: what convolutions compute in; None: float32. `forward`: the model's
    forward pass if it is not called itself. `checked_every`: after how many steps a loss or gradient that is not
    finite is noticed. On the CPU that is 1, and the weights are then those before the step; elsewhere the check would
    make each step wait for the device, and the weights may be spoiled when it raises.
    """

    def __init__(
        self,
        model: nn.Module,
        ema: AveragedModel,
        optimizer: Optimizer,
        schedule: Schedule,
        criterion: Criterion,
        hooks: Sequence[Hook],
        *,
        device: torch.device,
        clip: float,
        precision: torch.dtype | None = None,
        forward: Callable[[Tensor], list[Tensor]] | None = None,
    ) -> None:
        self.model, self.ema, self.optimizer, self.schedule = model, ema, optimizer, schedule
        self.criterion, self.hooks, self.clip, self.device = criterion, hooks, clip, device
        self.precision, self.forward = precision, forward or model
        self.scaler = GradScaler(device.type, enabled=precision is torch.float16)
        self.parameters = list(model.parameters())
        self.checked_every = 1 if device.type == "cpu" else CHECKED_EVERY
        self._unchecked = Meter()

    def update(self, batches: Sequence[Batch], epoch: int, step: int) -> Meter:
        """One step on the images of all `batches` together; the loss is their mean per image.

        Returns the loss and its parts. Raises TrainingError if the loss or a gradient is not finite.
        """
        lr = set_rates(self.optimizer, self.schedule, step)
        travel = self.schedule.travel(step) if isinstance(self.optimizer, SGD) else lr
        info = StepInfo(epoch, step, lr, self.optimizer, travel)
        images = sum(len(batch.imgs) for batch in batches)
        values = Meter()
        for batch in batches:
            self._backward(batch, len(batch.imgs) / images, values, info)
        self.scaler.unscale_(self.optimizer)
        self._clip(info)
        for hook in self.hooks:
            hook.before_step(info)
        if self._step():
            for hook in self.hooks:
                hook.after_step(info)
            self.ema.update_parameters(getattr(self.model, "module", self.model))
        self.optimizer.zero_grad(set_to_none=True)
        if self.checked_every > 1:
            self._unchecked.merge(values)
            if (step + 1) % self.checked_every == 0:
                self.check(info)
        return values

    def check(self, info: StepInfo) -> None:
        """Raise TrainingError if a loss or gradient since the last check was not finite."""
        values, self._unchecked = self._unchecked.read(), Meter()
        if not all_finite(values):
            since = f"in one of the last {self.checked_every} steps"
            raise not_finite(info, f"the loss or a gradient was not finite {since} ({shown(values)})")

    def _step(self) -> bool:
        """Run the optimiser's step; False if the scaler skipped it (a gradient overflowed in fp16)."""
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return not self.scaler.is_enabled() or self.scaler.get_scale() >= scale

    def _backward(self, batch: Batch, share: float, values: Meter, info: StepInfo) -> None:
        """Add this batch's part of the gradient; `share`: its fraction of the step's images."""
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not None):
            raw = self.forward(batch.imgs)
        raw = [head.float() for head in raw]
        parts = self.criterion(raw, batch)
        terms = [item for hook in self.hooks for item in hook.loss(raw, batch).items()]
        total = torch.stack([parts.total, *(term for _, term in terms)]).sum()
        found = Meter()
        found.add({"loss": total, "box": parts.box, "obj": parts.obj, "cls": parts.cls} | summed(terms))
        if self.checked_every == 1 and not all_finite(read := found.read()):
            raise not_finite(info, f"the loss is not finite ({shown(read)})")
        values.merge(found, share)
        self.scaler.scale(total * share).backward()  # type: ignore[no-untyped-call]

    def _clip(self, info: StepInfo) -> None:
        """Limit the norm of the gradient. With a scaler, a step whose gradient is not finite is skipped."""
        limit = self.clip if self.clip > 0 else float("inf")
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients, foreach=True)
        waits = self.checked_every > 1
        if not waits and not self.scaler.is_enabled() and not torch.isfinite(norm):
            raise not_finite(info, "a gradient is not finite")
        if waits and not self.scaler.is_enabled():
            self._unchecked.add({"gradient norm": norm})
        if waits or not norm + CLIP_MARGIN <= limit:  # else all would be multiplied by 1; comparing reads the norm
            nn.utils.clip_grads_with_norm_(self.parameters, limit, norm, foreach=True)


def summed(terms: Sequence[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """The terms of all hooks by name; terms of the same name are summed."""
    found: dict[str, list[Tensor]] = {}
    for name, term in terms:
        found.setdefault(name, []).append(term)
    return {name: torch.stack(values).sum() for name, values in found.items()}


def not_finite(info: StepInfo, what: str) -> TrainingError:
    """The error that ends a run, with the fix."""
    return TrainingError(f"epoch {info.epoch}, step {info.step}: {what}; lower --lr ({info.lr:.3g} at this step)")
