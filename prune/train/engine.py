"""The training loop: one for training, sparse training, fine-tuning and distillation."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

import torch
from torch import nn
from tqdm import tqdm

from prune.errors import TrainingError, UsageError
from prune.train.checkpoint import Checkpoint, rng_state
from prune.train.checkpoint_writer import CheckpointWriter
from prune.train.compiled import compile_forward
from prune.train.distributed import ALONE, World
from prune.train.ema import make_ema
from prune.train.epoch_line import epoch_line
from prune.train.hooks import Batch, Hook, hook_states, restore_hooks
from prune.train.meter import Meter, Values, all_finite, shown
from prune.train.optim import make_optimizer
from prune.train.precision import choose_precision
from prune.train.restore import restore
from prune.train.schedule import make_schedule
from prune.train.settings import TrainSettings
from prune.train.update import Criterion, Updater

logger = logging.getLogger(__name__)
Validate = Callable[[nn.Module], Mapping[str, float]]


class BatchSource(Protocol):
    """Provides the batches of each epoch."""

    def __len__(self) -> int:
        """The number of batches per epoch."""
        ...

    def epoch(self, epoch: int) -> Iterable[Batch]:
        """The batches of `epoch` (from 0), the same at every call, on the training device."""
        ...


class Logger(Protocol):
    """Receives each epoch's values: results.csv, TensorBoard."""

    def append(self, values: Mapping[str, float | int | None]) -> None:
        """Record the values of an epoch; `epoch` is among them."""
        ...


@dataclass(slots=True)
class Progress:
    """Where a run stands: `epoch` and `step` are the next ones to run; `best` contains `epoch` and `ap50`."""

    epoch: int = 0
    step: int = 0
    seen: int = 0
    best: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Trains `model` in place; `averaged` is the network that is evaluated and saved.

    `wrapped`: the model to call in training, if different (DDP). `writer`: None on processes that write nothing.
    `world`: the processes that train, each on batches of the same size. `facts`: plain values that a checkpoint
    contains beside the settings.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: BatchSource,
        criterion: Criterion,
        settings: TrainSettings,
        *,
        device: torch.device,
        hooks: Sequence[Hook] = (),
        validate: Validate | None = None,
        eval_interval: int = 1,
        writer: CheckpointWriter | None = None,
        loggers: Sequence[Logger] = (),
        cfg: str = "",
        wrapped: nn.Module | None = None,
        progress_bar: bool = False,
        world: World = ALONE,
        facts: Mapping[str, int] | None = None,
    ) -> None:
        self.model, self.batches, self.settings, self.hooks = model, batches, settings, hooks
        self.validate, self.eval_interval, self.writer, self.loggers = validate, eval_interval, writer, loggers
        self.cfg, self.progress_bar, self.world, self.progress = cfg, progress_bar, world, Progress()
        self.facts = facts or {}
        steps_per_epoch = math.ceil(len(batches) / settings.accumulate)
        self.schedule = make_schedule(settings, steps_per_epoch)
        precision = choose_precision(settings.amp, device)
        if precision.note:
            logger.info("%s", precision.note)
        self.updater = Updater(
            model if wrapped is None else wrapped,
            make_ema(model, settings.ema),
            make_optimizer(model, settings, precision.scaled),
            self.schedule,
            criterion,
            hooks,
            device=device,
            clip=settings.clip,
            precision=precision.dtype,
            forward=compile_forward(model if wrapped is None else wrapped, device) if settings.compile else None,
        )

    @property
    def averaged(self) -> nn.Module:
        """The averaged network."""
        module = self.updater.ema.module
        assert isinstance(module, nn.Module)
        return module

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from `checkpoint`.

        The optimiser's state is taken from it, the settings are not: the --weight-decay given now applies. Raises
        UsageError if it belongs to another network or optimiser, or has no optimiser state (best.pt).
        """
        if not checkpoint.optimizer:
            raise UsageError(
                "--resume: the checkpoint is not a last.pt or mid.pt and cannot be resumed; pass it as --weights"
            )
        kind = checkpoint.settings.get("optimizer", self.settings.optimizer)
        if kind != self.settings.optimizer:
            raise UsageError(f"--resume: the checkpoint was trained with --optimizer {kind}; pass that")
        restore(checkpoint, self.model, self.updater.ema, self.updater.optimizer, self.updater.scaler)
        step = checkpoint.epoch * self.schedule.steps_per_epoch  # not the stored step: the batch size may have changed
        best, last = dict(checkpoint.best), dict(checkpoint.last)
        self.progress = Progress(checkpoint.epoch, step, checkpoint.seen, best, last)
        restore_hooks(self.hooks, checkpoint.hooks)

    def fit(self) -> Progress:
        """Train to the last epoch. Raises TrainingError if the loss is no longer finite."""
        for epoch in range(self.progress.epoch, self.settings.epochs):
            start = time.monotonic()
            values = self._train_epoch(epoch)
            self._check(epoch, values)
            for hook in self.hooks:
                values |= hook.epoch_end(epoch)
                hook.settle(self.model, self.averaged)
            trained = time.monotonic()
            metrics = self._metrics(epoch)
            seconds = {"train_seconds": trained - start, "seconds": time.monotonic() - start}
            self._advance(epoch, metrics)
            self._report(epoch, values | {"lr": self.schedule.lr_at(self.progress.step - 1)}, metrics, seconds)
            self._save()
        return self.progress

    def derive(self, checkpoint: Checkpoint) -> None:
        """Write the files derived from `checkpoint`; its averaged network must be loaded in `averaged`."""
        if self.writer is not None:
            snapshots = [name for hook in self.hooks if (name := hook.snapshot_name(checkpoint.epoch - 1))]
            self.writer.derive(checkpoint, self.averaged, snapshots)

    def checkpoint(self) -> Checkpoint:
        """The current state of the run."""
        state = self.progress
        return Checkpoint(
            cfg=self.cfg,
            model=self.model.state_dict(),
            ema=self.averaged.state_dict(),
            ema_updates=int(self.updater.ema.n_averaged),
            optimizer=self.updater.optimizer.state_dict(),
            scaler=self.updater.scaler.state_dict(),
            epoch=state.epoch,
            step=state.step,
            seen=state.seen,
            best=dict(state.best),
            rng=rng_state(),
            settings={name: value for name, value in asdict(self.settings).items() if name != "resume"}
            | dict(self.facts),
            last=dict(state.last),
            hooks=hook_states(self.hooks),
        )

    def _train_epoch(self, epoch: int) -> Values:
        """One pass over the batches; returns the mean of the losses over the steps and the processes."""
        self.updater.model.train()
        for hook in self.hooks:
            hook.epoch_start(epoch)
        sums = Meter()
        steps = self.schedule.steps_per_epoch
        groups = grouped(self.batches.epoch(epoch), self.settings.accumulate)
        hidden = None if self.progress_bar else True  # None: tqdm hides the bar if there is no terminal
        with tqdm(groups, total=steps, desc=f"epoch {epoch}", disable=hidden, leave=False) as bar:
            for group in bar:
                sums.merge(self.updater.update(group, epoch, self.progress.step), 1 / steps)
                self.progress.step += 1
                self.progress.seen += self.world.size * sum(len(batch.imgs) for batch in group)
        return self.world.mean(sums.read())

    def _check(self, epoch: int, values: Values) -> None:
        """Raise TrainingError before anything of an epoch is kept that is not finite: a loss, if that was not noticed
        at its step, or a weight, which the last update may break although the loss was finite."""
        if not all_finite(values):
            raise TrainingError(f"epoch {epoch}: the loss is not finite ({shown(values)}); lower --lr")
        finite = [torch.isfinite(value).all() for value in self.model.state_dict().values()]
        if not bool(torch.stack(finite).all()):
            raise TrainingError(f"epoch {epoch}: a weight is no longer finite; lower --lr")

    def _metrics(self, epoch: int) -> dict[str, float]:
        due = (epoch + 1) % self.eval_interval == 0 or epoch + 1 == self.settings.epochs
        return dict(self.validate(self.averaged.eval())) if self.validate and due else {}

    def _advance(self, epoch: int, metrics: dict[str, float]) -> None:
        """Count the epoch; without a validation set the last epoch is the best."""
        self.progress.epoch = epoch + 1
        self.progress.last = metrics
        if not all(hook.counts(epoch) for hook in self.hooks):
            return
        if not self.validate or metrics.get("ap50", -1.0) > self.progress.best.get("ap50", -1.0):
            self.progress.best = {"epoch": float(epoch), **metrics}

    def _save(self) -> None:
        """Write the checkpoint, which makes the epoch count, then the files derived from it. (A line in a table, which
        cannot be derived from it, is written before, and discarded if the epoch has to be repeated.)"""
        if self.writer is not None:
            checkpoint = self.checkpoint()
            self.writer.commit(checkpoint)
            self.derive(checkpoint)

    def _report(self, epoch: int, values: Values, metrics: Values, seconds: Values) -> None:
        for each in self.loggers:
            each.append({"epoch": epoch, **values, **metrics, **seconds})
        logger.info("%s", epoch_line(epoch, self.settings.epochs, values | metrics, seconds["seconds"]))


def grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """`size` batches at a time; the last group may be shorter."""
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
