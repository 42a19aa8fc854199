"""A training run from files to files: the common part of train.py, train_sparse.py, finetune.py and distill.py."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

import torch

from prune.darknet.netdef import format_netdef, read_netdef, write_netdef
from prune.graph.cost import network_cost
from prune.model.build import DarknetModel
from prune.model.device import seed_everything, select_device
from prune.train.batches import make_batches
from prune.train.checkpoint import Checkpoint, read_checkpoint
from prune.train.checkpoint_writer import CheckpointWriter, export_weights
from prune.train.criterion import detection_criterion
from prune.train.distributed import check_world, device_of, join_world, leave_world, wrap
from prune.train.engine import Logger, Progress, Trainer
from prune.train.frozen import freeze, frozen_layers, kept_freeze, unfollowed
from prune.train.heartbeat import watching
from prune.train.hooks import Hook
from prune.train.inputs import check_classes, read_sets, report_faults, trained_netdef
from prune.train.job import Job
from prune.train.kept_images import keep_images, place_of, remove_kept
from prune.train.loggers import open_loggers
from prune.train.memory import keep_freed_memory
from prune.train.schedule import Schedule, make_schedule
from prune.train.start import restore_network, start_network
from prune.train.sync_norm import synchronize
from prune.train.validator import Validator, evaluate_settings

logger = logging.getLogger(__name__)
EVALUATION_COST = 0.5
"""Cost of evaluating an image relative to training on one (forward and NMS against forward, backward and
augmentation)."""
EVALUATION_SHARE = 0.1
UNREPORTED = ("resume", "eval_interval", "cache", "cache_images", "channels_last", "compile")
"""Settings whose change in a resumed run is not reported."""

EARLIER: dict[tuple[str, Any], str] = {("amp", False): "off", ("amp", True): "auto"}
"""Values of settings in checkpoints of earlier versions, and what they are called now."""


class Session:
    """Everything a run needs. `netdef` is the network as it is saved: with the input size and resizing it is
    trained for.

    Raises the errors of the files it reads, and UsageError if they do not fit together.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        device = select_device(job.device)
        self.world = join_world(device)
        self.device = device_of(self.world, device)
        if not self.world.writes:
            logging.getLogger("prune").setLevel(logging.ERROR)
        seed_everything(job.seed)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.train_set, self.valid_set = read_sets(job)
        self.netdef = trained_netdef(read_netdef(job.cfg), job, self.train_set)
        check_classes(self.netdef, self.train_set)
        self._report_data()
        self.resumed = read_checkpoint(job.resume) if job.resume else None
        if self.resumed:
            kept = kept_freeze(job.train.freeze, self.resumed.settings)
            self.job = job = replace(job, train=replace(job.train, freeze=kept))
        self.model, self.seen = self._network()
        self.kept = keep_images(job, self.netdef, self.train_set, self.valid_set, self.world.size)
        logger.info("%s", self.kept.line)
        cache, valid = place_of(self.kept, job.out), self.valid_set
        self.batches = make_batches(job, self.netdef, self.train_set, cache, self.world, self.device)
        self.validator = Validator(valid, evaluate_settings(job), cache is True, self.world) if valid else None
        self.progress = Progress()

    @property
    def size_wh(self) -> tuple[int, int]:
        """The network's input in pixels: (width, height)."""
        return self.netdef.net.width, self.netdef.net.height

    @property
    def first_epoch(self) -> int:
        """The first epoch to train."""
        return self.resumed.epoch if self.resumed else 0

    def trainer(self, hooks: Sequence[Hook] = (), loggers: Sequence[Logger] = ()) -> Trainer:
        """The training loop over this session's data, resumed if requested. `loggers`: in addition to its own."""
        job = self.job
        writer = CheckpointWriter(job.out, export_weights) if self.world.writes else None
        trainer = Trainer(
            self.model,
            self.batches,
            detection_criterion(self.netdef.heads, job.loss, self.size_wh),
            job.train,
            device=self.device,
            hooks=hooks,
            validate=self.validator,
            eval_interval=self._eval_interval(),
            writer=writer,
            loggers=[*self._loggers(), *loggers],
            cfg=format_netdef(self.netdef),
            wrapped=wrap(self.model, self.world, self.device),
            progress_bar=not job.quiet and self.world.writes,
            world=self.world,
            facts={"processes": self.world.size, "batch_size": job.batch_size},
        )
        trainer.progress.seen = self.seen
        if self.resumed:
            self._report_changes(self.resumed)
            trainer.resume(self.resumed)
        return trainer

    def schedule(self) -> Schedule:
        """The schedule of learning rates that `fit` follows."""
        return make_schedule(self.job.train, math.ceil(len(self.batches) / self.job.train.accumulate))

    def fit(
        self,
        hooks: Sequence[Hook] = (),
        measured: Literal["best", "last"] = "best",
        loggers: Sequence[Logger] = (),
    ) -> Progress:
        """Train and write all files in `job.out` except the summary, which reports the metrics of `measured`.

        `loggers` receive each epoch's values after results.csv is written.
        """
        trainer = self.trainer(hooks, loggers)
        with watching(self.world):
            self._open(trainer)
            self.progress = trainer.fit()
            if self.validator and (measured == "best" or self.validator.latest is None):
                self._measure(trainer, measured)
            leave_world(self.world)
        undecoded = {"train": self.batches.loader.dataset.faults}
        report_faults(undecoded | ({"valid": self.validator.faults} if self.validator else {}))
        remove_kept(self.kept, self.job.out)
        return self.progress

    def _open(self, trainer: Trainer) -> None:
        """Bring the out folder to the state of the checkpoint; a new run writes one at once, to be resumable."""
        if trainer.writer is None:
            return
        if self.job.continues and self.resumed:
            checkpoint = self.resumed
            if checkpoint.epoch < self.job.train.epochs:
                trainer.writer.reopen()
        else:
            checkpoint = trainer.checkpoint()
            trainer.writer.clear(self.job.outputs, spare=self.job.resume)
            trainer.writer.commit(checkpoint)
        write_netdef(self.job.out / "model.cfg", self.netdef)
        trainer.derive(checkpoint)

    def facts(self) -> dict[str, Any]:
        """For summary.json: the network's cost and, if there is a valid split, the metrics that `fit` measured."""
        cost = asdict(network_cost(self.netdef))
        metrics = self.validator.latest.summary() if self.validator and self.validator.latest else {}
        counts = {
            "epochs": self.job.train.epochs,
            "best_epoch": int(self.progress.best.get("epoch", 0)),
            "seen": self.progress.seen,
            "train_images": len(self.train_set),
        }
        return cost | {"img_size": list(self.size_wh)} | metrics | counts | {"last": self.progress.last or None}

    def _report_data(self) -> None:
        """Report the faults found while reading the data, before training. (Those of decoding are reported after.)"""
        sets = {"train": self.train_set} | ({"valid": self.valid_set} if self.valid_set else {})
        report_faults({split: found.remarks for split, found in sets.items()}, logging.INFO)
        report_faults({split: found.faults for split, found in sets.items()})

    def _network(self) -> tuple[DarknetModel, int]:
        job = self.job
        if line := unfollowed(self.netdef):
            logger.info("note: %s", line)
        frozen = frozen_layers(self.netdef, job.train.freeze)
        if frozen:
            logger.info("the first %d of %d layers are frozen", frozen, len(self.netdef.layers))
        if self.resumed:
            model, seen = restore_network(self.netdef, self.resumed.model), self.resumed.seen
            freeze(model, frozen)
        else:
            model, seen = start_network(self.netdef, job.weights, job.weights_cfg, frozen)
        if job.train.sync_bn and self.world.size > 1:
            synchronize(model, self.device)
        memory = torch.channels_last if job.train.channels_last else torch.contiguous_format
        return model.to(device=self.device, memory_format=memory), seen  # type: ignore[call-overload]

    def _eval_interval(self) -> int:
        """The requested interval, or one with which evaluation takes at most a tenth of the time. It depends on the
        counts of images only, not on a clock, so that a repeated run finds the same best epoch."""
        if self.job.train.eval_interval or self.valid_set is None:
            return max(1, self.job.train.eval_interval)
        share = EVALUATION_COST * len(self.valid_set) / max(1, len(self.train_set))
        return max(1, min(math.ceil(share / EVALUATION_SHARE), self.job.train.epochs))

    def _loggers(self) -> list[Logger]:
        first_epoch = self.first_epoch if self.job.continues else None
        return open_loggers(self.job.out, self.model, first_epoch) if self.world.writes else []

    def _report_changes(self, checkpoint: Checkpoint) -> None:
        if note := check_world(self.world, self.job.batch_size, checkpoint.settings):
            logger.info("--resume: %s", note)
        for name, value in asdict(self.job.train).items():
            stored = checkpoint.settings.get(name, value)
            before = EARLIER.get((name, stored), stored)
            if before != value and name not in UNREPORTED:
                logger.warning(
                    "--%s was %s in %s and is now %s", name.replace("_", "-"), before, self.job.resume, value
                )

    def _measure(self, trainer: Trainer, which: Literal["best", "last"]) -> None:
        """Let the validator hold the metrics of best.pt or last.pt."""
        assert self.validator is not None
        last = self.progress.best.get("epoch", -1) == self.job.train.epochs - 1
        if not last or self.validator.latest is None:
            kept = self.job.out / f"{which}.pt"
            if self.world.writes and kept.is_file():  # the others get the network from this process
                trainer.averaged.load_state_dict(read_checkpoint(kept).ema)
            self.validator(trainer.averaged.eval())
