"""Batches: the same for every number of workers, and no image lost silently."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from prune.errors import UsageError
from prune.loading.augment import AugmentSettings
from prune.loading.dataset import Draw, EvalDataset, EvalItem, TrainDataset
from prune.loading.image_cache import Wh
from prune.samples.fit import Fit
from prune.samples.sample import Sample

T = TypeVar("T")


def collate(items: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Items of a TrainDataset → imgs uint8 (B, C, H, W), targets float32 (N, 6): image in the batch, class,
    box."""
    rows = [
        torch.cat((torch.full((len(targets), 1), float(number)), targets), dim=1)
        for number, (_, targets) in enumerate(items)
    ]
    return torch.stack([img for img, _ in items]), torch.cat(rows)


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of the images this process takes: number `rank` (from 0) of `world`."""

    rank: int = 0
    world: int = 1


WHOLE = Shard()
"""All images."""


class BatchPlan(Sampler[list[Draw]]):
    """Which images form each batch of an epoch, at which size: a function of seed and epoch alone."""

    def __init__(self, dataset: TrainDataset, batch_size: int, seed: int, shard: Shard) -> None:
        self.images, self.batch_size, self.seed, self.shard = len(dataset), batch_size, seed, shard
        self.epoch = 0
        self.settings = dataset.settings
        self.sizes: tuple[Wh, ...] = (dataset.img_size_wh,)
        self.every = 1

    def __len__(self) -> int:
        """Batches per epoch. A last one of a single image is dropped (its batch statistics are poor), unless it is the
        only one or the batch size is 1."""
        share = -(-self.images // self.shard.world)
        full, rest = divmod(share, self.batch_size)
        return max(1, full + (rest >= 2))

    def __iter__(self) -> Iterator[list[Draw]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.images)
        # Every process gets the same number, or they would wait for each other for ever: the first images are used
        # twice.
        share = -(-self.images // self.shard.world)
        order = np.resize(order, share * self.shard.world)[self.shard.rank :: self.shard.world]
        for number in range(len(self)):
            batch = order[number * self.batch_size : (number + 1) * self.batch_size]
            size = self._size_of(number)
            yield [Draw(int(index), self.epoch, size, self.settings) for index in batch]

    def _size_of(self, number: int) -> Wh:
        if len(self.sizes) == 1:
            return self.sizes[0]
        rng = np.random.default_rng((self.seed, self.epoch, number // self.every, 1))
        return self.sizes[int(rng.integers(len(self.sizes)))]


class TrainLoader:
    """Shuffled, augmented batches (imgs uint8 (B, C, H, W), targets float32 (N, 6)), one pass per epoch.

    Settings changed between epochs reach the workers with the next pass. Without workers a thread of this process loads
    them, so that the network need not wait.
    """

    def __init__(self, dataset: TrainDataset, plan: BatchPlan, workers: int, pin_memory: bool) -> None:
        self.dataset, self._plan, self._workers = dataset, plan, workers
        self._loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            dataset,
            batch_sampler=plan,
            num_workers=workers,
            collate_fn=collate,
            worker_init_fn=_single_threaded,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            generator=torch.Generator().manual_seed(plan.seed),
        )

    def __len__(self) -> int:
        return len(self._plan)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.dataset.images.fill()
        self.dataset.check_decodes()
        return iter(self._loader) if self._workers else ahead(self._loader)

    def set_epoch(self, epoch: int) -> None:
        """The epoch (from 0) of the next pass: determines order and augmentation."""
        self._plan.epoch = epoch

    def set_img_size(self, *sizes_wh: Wh, every: int = 10) -> None:
        """The network size (w, h) of the next passes; of several, one is drawn for every `every`
        batches."""
        if not sizes_wh:
            raise UsageError("multi-scale training needs at least one network size")
        self._plan.sizes, self._plan.every = sizes_wh, every

    def set_augment(self, settings: AugmentSettings) -> None:
        """The augmentation of the next passes (e.g. without mosaic for the last epochs)."""
        self._plan.settings = settings


def train_loader(
    dataset: TrainDataset,
    batch_size: int,
    workers: int = 0,
    seed: int = 0,
    shard: Shard = WHOLE,
    pin_memory: bool = False,
) -> TrainLoader:
    """The loader of a training set; `shard` for one process of several. Raises UsageError for a batch below
    1."""
    _check(batch_size, workers)
    return TrainLoader(dataset, BatchPlan(dataset, batch_size, seed, shard), workers, pin_memory)


class EvalBatch(NamedTuple):
    """imgs (B, C, H, W), RGB or grayscale of 0 … 255, uint8 or float32, and for each image its fit, its sample and its
    position in the set (from 0; empty: they are in order)."""

    imgs: Tensor
    fits: tuple[Fit, ...]
    samples: tuple[Sample, ...]
    indices: tuple[int, ...] = ()


class EvalLoader:
    """All images that can be decoded, including the last partial batch. The others are in `dataset.faults`.

    They are in their order, except that where inputs differ in size, those of one size come together. Without workers a
    thread of this process loads them, so that the network need not wait. `shard`: of several processes each takes
    a part of the batches.
    """

    def __init__(
        self, dataset: EvalDataset, batch_size: int, workers: int, pin_memory: bool, shard: Shard = WHOLE
    ) -> None:
        self.dataset, self._workers = dataset, workers
        # whole batches: what a network computes for an image may depend, in the last digit, on the others in its batch
        self._batches = _equal_inputs(dataset, batch_size)[shard.rank :: shard.world]
        self._loader: DataLoader[EvalItem] = DataLoader(
            dataset,
            batch_sampler=self._batches,
            num_workers=workers,
            collate_fn=_collate_eval,
            worker_init_fn=_single_threaded,
            pin_memory=pin_memory,
            generator=torch.Generator().manual_seed(0),
        )

    def __len__(self) -> int:
        """Batches, including those in which no image can be decoded."""
        return len(self._batches)

    def __iter__(self) -> Iterator[EvalBatch]:
        loaded: Iterable[Any] = self._loader if self._workers else ahead(self._loader)
        for indices, imgs, fits in loaded:
            if fits:
                samples = (self.dataset.sample(i, fit) for i, fit in zip(indices, fits, strict=True))
                yield EvalBatch(imgs, tuple(fits), tuple(samples), tuple(indices))


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The items, made by a separate thread, at most `depth` before they are requested. Errors are raised at their
    place."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(1, "loader") as worker:
        waiting = deque(worker.submit(next, source, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(worker.submit(next, source, end))
            yield item  # type: ignore[misc]


def _equal_inputs(dataset: EvalDataset, batch_size: int) -> list[list[int]]:
    """The indices of each batch: in order, images with inputs of one size together."""
    sizes = [dataset.input_wh(index) for index in range(len(dataset))]
    order = sorted(range(len(dataset)), key=lambda index: sizes[index])  # stable: in order within a size
    runs = [list(run) for _, run in groupby(order, key=lambda index: sizes[index])]
    return [run[at : at + batch_size] for run in runs for at in range(0, len(run), batch_size)]


def eval_loader(
    dataset: EvalDataset, batch_size: int, workers: int = 0, pin_memory: bool = False, shard: Shard = WHOLE
) -> EvalLoader:
    """The loader of an evaluation set. Raises UsageError for a batch below 1."""
    _check(batch_size, workers)
    return EvalLoader(dataset, batch_size, workers, pin_memory, shard)


def _collate_eval(items: Sequence[EvalItem]) -> tuple[list[int], Tensor, list[Fit]]:
    usable = [(o.index, o.img, o.fit) for o in items if o.img is not None and o.fit is not None]
    imgs = torch.stack([img for _, img, _ in usable]) if usable else torch.zeros(0, 3, 0, 0, dtype=torch.uint8)
    return [i for i, _, _ in usable], imgs, [fit for _, _, fit in usable]


def _single_threaded(_worker: int) -> None:
    """The workers run in parallel; threads inside them would only compete for the cores."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _check(batch_size: int, workers: int) -> None:
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size} must be at least 1")
    if workers < 0:
        raise UsageError(f"workers {workers} must not be negative")
