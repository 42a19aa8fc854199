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
from prune.train.optim import set_rates
from prune.train.schedule import Schedule


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
Values = dict[str, float]


class Updater:
    """Updates the network, its average and the optimiser.

    `model` may be wrapped for DDP.
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
        amp: bool,
    ) -> None:
        self.model, self.ema, self.optimizer, self.schedule = model, ema, optimizer, schedule
        self.criterion, self.hooks, self.clip, self.amp, self.device = criterion, hooks, clip, amp, device
        self.scaler = GradScaler(device.type, enabled=amp and device.type == "cuda")
        self.parameters = list(model.parameters())

    def update(self, batches: Sequence[Batch], epoch: int, step: int) -> Values:
        """One step on the images of all `batches` together; the loss is their mean per image.

        Returns the loss and its parts. Raises TrainingError if the loss or a gradient is not finite; the weights
        are then unchanged.
        """
        lr = set_rates(self.optimizer, self.schedule, step)
        travel = self.schedule.travel(step) if isinstance(self.optimizer, SGD) else lr
        info = StepInfo(epoch, step, lr, self.optimizer, travel)
        images = sum(len(batch.imgs) for batch in batches)
        values: Values = {}
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
        return values

    def _step(self) -> bool:
        """Run the optimiser's step; False if the scaler skipped it (a gradient overflowed in fp16)."""
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return not self.scaler.is_enabled() or self.scaler.get_scale() >= scale

    def _backward(self, batch: Batch, share: float, values: Values, info: StepInfo) -> None:
        """Add this batch's part of the gradient; `share`: its fraction of the step's images."""
        with torch.autocast(
            self.device.type,
            enabled=self.amp,
            dtype=torch.bfloat16 if self.device.type == "cpu" else torch.float16,
        ):
            raw = self.model(batch.imgs)
        raw = [head.float() for head in raw]
        parts = self.criterion(raw, batch)
        terms = [item for hook in self.hooks for item in hook.loss(raw, batch).items()]
        total = torch.stack([parts.total, *(term for _, term in terms)]).sum()
        named = {"loss": total, "box": parts.box, "obj": parts.obj, "cls": parts.cls} | summed(terms)
        read = dict(zip(named, torch.stack([v.detach().float() for v in named.values()]).tolist(), strict=True))
        if not torch.isfinite(torch.tensor(list(read.values()))).all():
            shown = ", ".join(f"{name} {value:.4g}" for name, value in read.items())
            raise not_finite(info, f"the loss is not finite ({shown})")
        for name, value in read.items():
            values[name] = values.get(name, 0.0) + share * value
        self.scaler.scale(total * share).backward()  # type: ignore[no-untyped-call]

    def _clip(self, info: StepInfo) -> None:
        limit = self.clip if self.clip > 0 else float("inf")
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        if not self.scaler.is_enabled() and not torch.isfinite(norm):  # with a scaler, such a step is skipped
            raise not_finite(info, "a gradient is not finite")


def summed(terms: Sequence[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """The terms of all hooks by name; terms of the same name are summed."""
    found: dict[str, list[Tensor]] = {}
    for name, term in terms:
        found.setdefault(name, []).append(term)
    return {name: torch.stack(values).sum() for name, values in found.items()}


def not_finite(info: StepInfo, what: str) -> TrainingError:
    """The error that ends a run, with the fix."""
    return TrainingError(f"epoch {info.epoch}, step {info.step}: {what}; lower --lr ({info.lr:.3g} at this step)")
