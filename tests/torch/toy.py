"""A regression small enough to train in milliseconds, in the shape the engine expects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prune.train.checkpoint_writer import CheckpointWriter
from prune.train.engine import Trainer
from prune.train.hooks import Batch, Hook
from prune.train.results import Results
from prune.train.settings import TrainSettings

CPU = torch.device("cpu")
IMAGES = 12


class ToyModel(nn.Module):
    """Convolution, batch norm, dropout, head: raw output (B, 6, 4, 4) for images (B, 3, 8, 8)."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Conv2d(8, 6, 1)

    def forward(self, imgs: Tensor) -> list[Tensor]:
        return [self.head(self.drop(torch.relu(self.norm(self.conv(imgs)))))]


def toy_model(seed: int = 0, dropout: float = 0.1) -> ToyModel:
    torch.manual_seed(seed)
    return ToyModel(dropout)


@dataclass(frozen=True)
class ToyLosses:
    total: Tensor
    box: Tensor
    obj: Tensor
    cls: Tensor


def toy_criterion(raw: list[Tensor], batch: Batch) -> ToyLosses:
    """Mean per image of the squared distance to the image's mean."""
    error = (raw[0] - batch.imgs.mean((1, 2, 3), keepdim=True)).square().mean((1, 2, 3))
    mean = error.mean()
    return ToyLosses(mean, mean.detach() / 2, mean.detach() / 4, mean.detach() / 4)


class ToyBatches:
    """The same images each epoch, in an order that depends on the epoch alone."""

    def __init__(self, batch_size: int = 4, shuffle: bool = True) -> None:
        self.batch_size, self.shuffle = batch_size, shuffle
        self.imgs = torch.rand(IMAGES, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return IMAGES // self.batch_size

    def epoch(self, epoch: int) -> Iterator[Batch]:
        order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(epoch))
        for ids in (order if self.shuffle else torch.arange(IMAGES)).split(self.batch_size):  # type: ignore[no-untyped-call]
            yield Batch(self.imgs[ids], torch.zeros(0, 6), (8, 8))


def toy_trainer(
    model: nn.Module,
    out: Path | None = None,
    *,
    hooks: tuple[Hook, ...] = (),
    batch_size: int = 4,
    shuffle: bool = True,
    validate: Any = None,
    **settings: Any,
) -> Trainer:
    """A trainer of the toy; with `out` it writes its files there."""
    values: dict[str, Any] = {"epochs": 4, "lr": 0.05} | settings
    return Trainer(
        model,
        ToyBatches(batch_size, shuffle),
        toy_criterion,
        TrainSettings(**values),
        device=CPU,
        hooks=hooks,
        validate=validate,
        writer=CheckpointWriter(out) if out else None,
        loggers=[Results(out / "results.csv")] if out else (),
        cfg="[net]\n",
    )
