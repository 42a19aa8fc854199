"""The training of this project, in the parts that `benchmarks.train_speed` compares."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.train_speed_plain import Seconds, timed
from prune.graph.channels import trace_groups
from prune.train.hooks import Batch, Hook, StepInfo
from prune.train.job import Job
from prune.train.session import Session
from prune.train.settings import SparsitySettings
from prune.train.sparsity import sparsify


@dataclass
class TimedHook(Hook):
    """A hook whose own seconds are counted."""

    inner: Hook
    seconds: float = 0.0
    steps: list[float] = field(default_factory=list)

    def epoch_start(self, epoch: int) -> None:
        """As the inner hook."""
        self.inner.epoch_start(epoch)

    def before_step(self, info: StepInfo) -> None:
        """As the inner hook, timed."""
        self._timed(self.inner.before_step, info)

    def after_step(self, info: StepInfo) -> None:
        """As the inner hook, timed."""
        self._timed(self.inner.after_step, info)
        self.steps.append(self.seconds)
        self.seconds = 0.0

    def _timed(self, call: Callable[[StepInfo], None], info: StepInfo) -> None:
        start = time.perf_counter()
        call(info)
        self.seconds += time.perf_counter() - start


class OurLoop:
    """A session and its trainer, whose steps are taken one by one."""

    def __init__(self, job: Job, sparsity: SparsitySettings) -> None:
        self.session = Session(job)
        graph = trace_groups(self.session.netdef)
        self.hook = TimedHook(sparsify(self.session, graph, sparsity))
        self.trainer = self.session.trainer([self.hook])
        self.updater, self.number = self.trainer.updater, 0
        self.updater.model.train()
        self.fixed = next(self.batches())

    def batches(self) -> Iterator[Batch]:
        """Batches for ever."""
        epoch = 0
        while True:
            yield from self.session.batches.epoch(epoch % self.session.job.train.epochs)
            epoch += 1

    def forward_backward(self) -> None:
        """Gradients of the loss on the same batch, without what belongs to a step."""
        with torch.autocast(
            self.updater.device.type, self.updater.precision, enabled=self.updater.precision is not None
        ):
            raw = self.updater.forward(self.fixed.imgs)
        total: Tensor = self.updater.criterion([head.float() for head in raw], self.fixed).total
        self.updater.scaler.scale(total).backward()  # type: ignore[no-untyped-call]

    def step(self, batch: Batch) -> None:
        """One whole step on a batch."""
        self.updater.update([batch], 0, self.number)
        self.number += 1

    def measure(self, steps: int) -> Mapping[str, list[Seconds]]:
        """Seconds of each step by part, and the shares of loading, penalty and evaluation."""
        self.step(self.fixed)
        found = dict[str, list[Seconds]]()
        loading = iter(self.batches())
        found["loading alone"] = timed(steps, lambda: next(loading))
        self.updater.model.zero_grad(set_to_none=True)
        found["forward + backward alone"] = timed(steps, self.forward_backward)
        self.updater.optimizer.zero_grad(set_to_none=True)
        batches, waits = iter(self.batches()), list[Seconds]()
        next(batches)
        self.hook.steps.clear()

        def together() -> None:
            start = time.perf_counter()
            batch = next(batches)
            waits.append((time.perf_counter() - start, 0.0))
            self.step(batch)

        found["all together"] = timed(steps, together)
        found["waiting for the loader"] = waits
        found["penalty"] = [(seconds, seconds) for seconds in self.hook.steps]
        found["evaluation"] = self._evaluations()
        return found

    def facts(self) -> dict[str, Any]:
        """What was measured."""
        netdef, valid = self.session.netdef, self.session.valid_set
        return {
            "precision": str(self.updater.precision or torch.float32).removeprefix("torch."),
            "size": [netdef.net.width, netdef.net.height],
            "batches_per_epoch": len(self.session.batches),
            "epochs_between_evaluations": self.trainer.eval_interval,
            "valid_images": len(valid) if valid else 0,
            "cache": self.session.kept.kind,
        }

    def _evaluations(self) -> list[Seconds]:
        """Seconds of an evaluation of the valid split; the first one, which fills the cache, is not counted."""
        validator = self.session.validator
        assert validator is not None
        seconds = timed(2, lambda: validator(self.trainer.averaged.eval()))
        return seconds[1:]
