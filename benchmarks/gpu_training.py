"""Trainings on the data: mixed precision against float32, how long the device waits, and all stages of yolov3."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu_budget import Budget, Result
from benchmarks.gpu_setting import Setting, command
from prune.train.engine import BatchSource
from prune.train.hooks import Batch
from prune.train.job import Job
from prune.train.session import Session
from prune.train.settings import Amp, TrainSettings

PRECISIONS: dict[str, torch.dtype | None] = {
    "float32": None,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
AP_TOLERANCE = 0.05
"""Of AP50 between precisions: short runs with one seed differ by some points anyway."""


def precision(setting: Setting, budget: Budget) -> Result:
    """yolov3-tiny trained in each precision: whether it stays finite, and AP50 at the end."""
    epochs = 2 if setting.small else 12
    rows = list[Result]()
    for name, dtype in PRECISIONS.items():
        if dtype is torch.float16 and setting.device.type == "cpu":
            continue
        rows.append({"precision": name} | budget.attempt(budget.left, partial(_train, setting, dtype, epochs)))
        print("   " + "  ".join(f"{key} {value}" for key, value in rows[-1].items()))
    scores = [row["ap50"] for row in rows if "ap50" in row]
    alike = min(scores, default=0.0) >= max(scores[:1], default=0.0) - AP_TOLERANCE
    return {"rows": rows, "epochs": epochs, "tolerance": AP_TOLERANCE, "ok": alike}


def _train(setting: Setting, dtype: torch.dtype | None, epochs: int) -> Result:
    """AP50 and seconds; a loss or weight that is not finite raises TrainingError."""
    amp: Amp = "off" if dtype is None else "fp16" if dtype is torch.float16 else "bf16"
    session = Session(_job(setting, f"precision-{dtype}", TrainSettings(epochs=epochs, optimizer="adamw", amp=amp)))
    trainer = session.trainer()
    start = time.perf_counter()
    trainer.fit()
    assert session.validator is not None
    return {"ap50": round(float(trainer.progress.last["ap50"]), 4), "seconds": round(time.perf_counter() - start, 1)}


def _job(setting: Setting, name: str, train: TrainSettings) -> Job:
    side = setting.size if setting.small else 320
    return Job(
        cfg=setting.adapted(setting.tiny),
        data=setting.data,
        out=setting.out / name,
        weights=setting.weights,
        weights_cfg=setting.tiny if setting.weights else None,
        img_size=(side, side),
        batch_size=setting.batches[0],
        device=setting.device.type,
        workers=setting.workers,
        quiet=True,
        train=train,
    )


class Watched:
    """The batches of a source, and how long the device waits for them.

    On CUDA the time between two events, one recorded when the work of a step is queued and one when the next batch is
    there: the device reaches the first when it has finished the step, and the second not before the batch is there.
    """

    def __init__(self, source: BatchSource, cuda: bool) -> None:
        self.source, self.cuda, self.waits = source, cuda, list[tuple[torch.cuda.Event, torch.cuda.Event]]()
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self.source)

    def epoch(self, epoch: int) -> Iterable[Batch]:
        """The batches of an epoch."""
        items = iter(self.source.epoch(epoch))
        while (batch := self._next(items)) is not None:
            yield batch

    def _next(self, items: Iterator[Batch]) -> Batch | None:
        if not self.cuda:
            start = time.perf_counter()
            batch = next(items, None)
            self.seconds += time.perf_counter() - start
            return batch
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        before.record()
        batch = next(items, None)
        after.record()
        self.waits.append((before, after))
        return batch

    def waited(self) -> float:
        """Seconds that the device has waited so far; forgets them."""
        if self.cuda:
            torch.cuda.synchronize()
            self.seconds = sum(before.elapsed_time(after) for before, after in self.waits) / 1000
        found, self.seconds, self.waits = self.seconds, 0.0, []
        return found


class Clock:
    """Of each epoch the share in which the device waited, and the images per second."""

    def __init__(self, watched: Watched, images: int) -> None:
        self.watched, self.images, self.start = watched, images, time.perf_counter()
        self.shares, self.rates = list[float](), list[float]()

    def append(self, values: Mapping[str, float | int | None]) -> None:
        """Called at the end of an epoch."""
        waited = self.watched.waited()
        elapsed = time.perf_counter() - self.start
        self.shares.append(waited / elapsed)
        self.rates.append(self.images / elapsed)
        self.start = time.perf_counter()


def waiting(setting: Setting, budget: Budget) -> Result:
    """The share of the time of an epoch, after the first, in which the device waits for batches."""
    epochs = 2 if setting.small else 5
    settings = TrainSettings(
        epochs=epochs, amp="auto" if setting.device.type == "cuda" else "off", cache_images=True, eval_interval=epochs
    )
    session = Session(_job(setting, "waiting", settings))
    session.validator = None
    trainer = session.trainer()
    watched = Watched(trainer.batches, setting.device.type == "cuda")
    trainer.batches = watched
    clock = Clock(watched, len(session.train_set))
    trainer.loggers = [clock]
    trainer.fit()
    shares, rates = clock.shares[1:], clock.rates[1:]
    return {
        "waits": round(sum(shares) / len(shares), 4),
        "images_per_s": round(max(rates), 1),
        "workers": setting.workers,
    }


def stages(setting: Setting, budget: Budget) -> Result:
    """yolov3 through all stages on the data, with few epochs: how long each takes, and AP50 after it."""
    out, base = setting.out / "stages", ["--data", str(setting.data), "--device", setting.device.type, "--overwrite"]
    sized = [*base, "--img-size", str(setting.size), "--batch-size", str(setting.batches[0])]
    train = [*sized, "--workers", str(setting.workers), *(["--amp"] if setting.device.type == "cuda" else [])]
    epochs = ("1", "1", "1") if setting.small else ("8", "6", "4")
    runs = [
        ("train", str(setting.adapted(setting.full)), None, [*train, "--epochs", epochs[0]]),
        ("train_sparse", "train/model.cfg", "train/last.weights", [*train, "--epochs", epochs[1], "-s", "0.01"]),
        ("prune_channel", "train_sparse/model.cfg", "train_sparse/last.weights", [*sized, "--percent", "0.5"]),
        ("finetune", "prune_channel/pruned.cfg", "prune_channel/pruned.weights", [*train, "--epochs", epochs[2]]),
        ("evaluate", "finetune/model.cfg", "finetune/last.weights", sized),
    ]
    rows = list[Result]()
    for name, cfg, weights, flags in runs:
        files = ["--cfg", str(out / cfg), *(["--weights", str(out / weights)] if weights else [])]
        row = {"stage": name} | budget.attempt(budget.left, partial(_stage, name, out, [*files, *flags]))
        rows.append(row)
        print("   " + "  ".join(f"{key} {value}" for key, value in row.items()))
        if "seconds" not in row:
            break
    return {"rows": rows}


def _stage(name: str, out: Path, arguments: list[str]) -> Result:
    start = time.perf_counter()
    command(name, *arguments, "--out", str(out / name), "--quiet")
    summary = json.loads((out / name / "summary.json").read_text(encoding="utf-8"))
    facts = summary.get("after", summary)
    kept = {key: facts[key] for key in ("ap50", "parameters", "bflops") if key in facts}
    return {"seconds": round(time.perf_counter() - start, 1)} | kept
