"""Images per second of the training step, against a plain loop over the same module in the same run.

The batch stays on the device: what is measured is forward, loss, backward and update. The project's step has all that a
training has (clipping, averaging of weights, checks for values that are not finite); the plain loop has none of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from benchmarks.gpu_budget import Budget, Result
from benchmarks.gpu_setting import Setting
from prune.darknet.netdef import read_netdef
from prune.detect.settings import LossSettings
from prune.model.build import DarknetModel
from prune.model.device import seed_everything
from prune.train.criterion import detection_criterion
from prune.train.engine import Trainer
from prune.train.hooks import Batch
from prune.train.settings import Amp, TrainSettings
from prune.train.start import start_network

WARMUP, LEAST = 3, 3
COMPILING = 90.0
"""Seconds after which a compilation is given up."""


@dataclass(frozen=True, slots=True)
class Case:
    """A network in a setting of the step."""

    cfg: Path
    batch: int
    amp: bool
    compiled: bool = False

    def __str__(self) -> str:
        return f"{self.cfg.stem} batch {self.batch}{' amp' if self.amp else ''}{' compile' if self.compiled else ''}"


def speed(setting: Setting, budget: Budget) -> Result:
    """All cases without compilation, each with its plain loop; then those with it, as far as time permits."""
    eager = [
        Case(cfg, n, amp) for cfg in (setting.tiny, setting.full) for n in setting.batches for amp in (False, True)
    ]
    rows, plain = [], dict[Case, float]()
    for case in eager:
        found = budget.attempt(budget.left, partial(_rate, plain_loop, setting, case))
        plain[case] = found.get("images_per_s", float("nan"))
        rows.append(_row(setting, budget, case, plain[case]))
    best_first = sorted(eager, key=lambda case: (not case.amp, case.cfg != setting.tiny, -case.batch))
    for case in best_first[:1] if setting.small else best_first:
        rows.append(_row(setting, budget, replace(case, compiled=True), plain[case]))
    torch.compiler.reset()
    return {"rows": rows}


def _row(setting: Setting, budget: Budget, case: Case, plain: float) -> Result:
    limit = COMPILING if case.compiled else budget.left
    measured = budget.attempt(limit, partial(_rate, our_loop, setting, case))
    facts = {"network": case.cfg.stem, "batch": case.batch, "amp": case.amp, "compile": case.compiled}
    row: Result = facts | {"plain_images_per_s": plain} | measured
    if "images_per_s" in row:
        row["ratio"] = row["images_per_s"] / plain
        shown = f"{row['images_per_s']:.1f} images/s, {row['ratio']:.2f} × the plain loop ({plain:.1f})"
    else:
        shown = next(iter(measured.values()))
    if setting.device.type == "cuda":
        row["memory_gib"] = torch.cuda.max_memory_allocated(setting.device) / 2**30
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(setting.device)
    print(f"   {case!s:34} {shown}")
    return row


def _rate(loop: Callable[[Setting, Case], float], setting: Setting, case: Case) -> Result:
    return {"images_per_s": loop(setting, case)}


@dataclass(slots=True)
class Timed:
    """Yields a batch for about `seconds`; `rate`: images per second after the warm-up."""

    batch: Batch
    sync: Callable[[], None]
    seconds: float
    rate: float = field(default=0.0, init=False)

    def __len__(self) -> int:
        return 1_000_000

    def epoch(self, _epoch: int) -> Iterator[Batch]:
        """The batch, first for the warm-up, then as often as fits the time."""
        yield from [self.batch] * WARMUP
        first = yield from self._timed(1)
        steps = max(LEAST, int(self.seconds / first))
        self.rate = len(self.batch.imgs) / (yield from self._timed(steps))

    def _timed(self, steps: int) -> Any:
        """Yield the batch `steps` times; returns the seconds of a step."""
        self.sync()
        start = time.perf_counter()
        yield from [self.batch] * steps
        self.sync()
        return (time.perf_counter() - start) / steps


def our_loop(setting: Setting, case: Case) -> float:
    """Images per second of the project's training loop."""
    seed_everything(0)
    model, batch, criterion = _prepared(setting, case, torch.channels_last)
    timed = Timed(batch, setting.sync, setting.seconds)
    precision: Amp = "fp16" if setting.device.type == "cuda" else "bf16"  # as of the reference loop
    trainer = Trainer(
        model,
        timed,
        criterion,
        TrainSettings(epochs=1, lr=1e-6, warmup=0.0, amp=precision if case.amp else "off"),
        device=setting.device,
        wrapped=cast(nn.Module, torch.compile(model)) if case.compiled else None,
    )
    trainer.fit()
    return timed.rate


def plain_loop(setting: Setting, case: Case) -> float:
    """Images per second of the loop that one would write by hand."""
    torch.backends.cudnn.deterministic = False
    model, batch, criterion = _prepared(setting, case, torch.contiguous_format)
    kind = setting.device.type
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
    scaler = torch.amp.GradScaler(kind, enabled=case.amp and kind == "cuda")
    timed = Timed(batch, setting.sync, setting.seconds)
    model.train()
    for item in timed.epoch(0):
        with torch.autocast(kind, torch.float16 if kind == "cuda" else torch.bfloat16, enabled=case.amp):
            raw = model(item.imgs)
        loss = criterion([head.float() for head in raw], item).total
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        loss.item()  # what a log line needs
    return timed.rate


def _prepared(setting: Setting, case: Case, memory: torch.memory_format) -> tuple[DarknetModel, Batch, Any]:
    """The network, a batch of random images with objects, and the criterion."""
    netdef = read_netdef(setting.adapted(case.cfg))
    model, _ = start_network(netdef)
    model.to(device=setting.device, memory_format=memory)  # type: ignore[call-overload]
    rng, size = np.random.default_rng(0), setting.size
    imgs = torch.from_numpy(rng.random((case.batch, 3, size, size), np.float32))
    boxes = [
        [i, rng.integers(3), *rng.uniform(0.3, 0.7, 2), *rng.uniform(0.05, 0.3, 2)]
        for i in range(case.batch)
        for _ in range(10)
    ]
    targets = torch.tensor(np.array(boxes), dtype=torch.float32, device=setting.device)
    criterion = detection_criterion(netdef.heads, LossSettings(), (size, size))
    return model, Batch(imgs.to(setting.device, memory_format=memory), targets, (size, size)), criterion
