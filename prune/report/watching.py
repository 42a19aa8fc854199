"""Pictures of a training run, drawn while it trains: batch.png and results.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from prune.report.batch import MOST, batch_sheet
from prune.report.montage import write_picture
from prune.report.results import results_sheet
from prune.report.text import drawable_names
from prune.samples.images import Image
from prune.train.hooks import Batch, Hook
from prune.train.results import read_rows

BATCH, RESULTS = "batch.png", "results.png"


class BatchPicture(Hook):
    """Draws the first batch that the network is trained on; afterwards it does nothing."""

    name = "batch"

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names, self.drawn = path, names, False

    def loss(self, raw: list[Tensor], batch: Batch) -> Mapping[str, Tensor]:
        """Draw the batch if it is the first; no term is added."""
        if not self.drawn:
            self.drawn = True
            targets = batch.targets.detach().cpu().double().numpy()
            write_picture(self.path, batch_sheet(_images(batch.imgs), targets, drawable_names(self.names)))
        return {}


class ResultsPicture:
    """Draws the table of a run after each epoch. `table` must be written before."""

    def __init__(self, path: Path, table: Path) -> None:
        self.path, self.table = path, table

    def append(self, values: Mapping[str, float | int | None]) -> None:
        """Draw all epochs of the table."""
        self.draw()

    def draw(self) -> None:
        """Draw the table; nothing if it has no epochs yet."""
        rows = read_rows(self.table) if self.table.is_file() else []
        if rows:
            write_picture(self.path, results_sheet(rows))


def _images(imgs: Tensor) -> list[Image]:
    """(B, C, H, W) in [0, 1], RGB or grayscale → the first MOST as (H, W, 3) uint8."""
    some = imgs[:MOST].detach().cpu().float().mul(255).round().clamp(0, 255).byte()
    return [np.ascontiguousarray(img.expand(3, -1, -1).permute(1, 2, 0).numpy()) for img in some]
