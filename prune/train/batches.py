"""Batches in the network's input format, on its device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from prune.darknet.netdef import NetDef
from prune.loading.augment import AugmentSettings
from prune.loading.dataset import TrainDataset
from prune.loading.loaders import Shard, TrainLoader, train_loader
from prune.loading.workers import choose_workers
from prune.samples.sample import SampleSet
from prune.train.distributed import World
from prune.train.hooks import Batch
from prune.train.job import Job
from prune.train.kept_images import training_sizes


class DetectionBatches:
    """The batches of a loader; each epoch depends only on the loader's seed and the epoch's number.

    `mosaic_off_from`: the first epoch (from 0) without mosaic, so that training ends on images like those the
    network will see in use.
    """

    def __init__(
        self,
        loader: TrainLoader,
        augment: AugmentSettings,
        mosaic_off_from: int,
        *,
        device: torch.device,
        channels_last: bool = True,
    ) -> None:
        self.loader, self.augment, self.mosaic_off_from, self.device = loader, augment, mosaic_off_from, device
        self.format = torch.channels_last if channels_last else torch.contiguous_format

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of `epoch`, on the device."""
        mosaic_off = epoch >= self.mosaic_off_from
        self.loader.set_epoch(epoch)
        self.loader.set_augment(replace(self.augment, mosaic=0.0) if mosaic_off else self.augment)
        for imgs, targets in self.loader:
            yield self._batch(imgs, targets)

    def _batch(self, imgs: Tensor, targets: Tensor) -> Batch:
        height, width = imgs.shape[-2:]
        imgs = imgs.to(self.device, non_blocking=True).float().div_(255).contiguous(memory_format=self.format)
        return Batch(imgs, targets.to(self.device, non_blocking=True), (width, height))


def make_batches(
    job: Job, netdef: NetDef, samples: SampleSet, cache: bool | Path, world: World, device: torch.device
) -> DetectionBatches:
    """The batches of a job's training images for this process of `world`; `cache` as for TrainDataset."""
    size, sizes = (netdef.net.width, netdef.net.height), training_sizes(job, netdef)
    dataset = TrainDataset(
        samples, job.augment, size, job.letterbox, job.seed, cache, netdef.net.channels, fit_wh=sizes[-1]
    )
    workers = choose_workers(job.workers, device.type, world.size)
    shard = Shard(world.rank, world.size)
    pinned = device.type == "cuda"
    loader = train_loader(dataset, job.batch_size, workers, job.seed, shard, pin_memory=pinned)
    if job.train.multi_scale:
        loader.set_img_size(*sizes)
    mosaic_until = round(job.train.mosaic_until * job.train.epochs)
    return DetectionBatches(loader, job.augment, mosaic_until, device=device, channels_last=job.train.channels_last)
