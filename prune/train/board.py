"""TensorBoard logging, if it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prune.files.writing import naming


class Board:
    """Scalars and histograms of γ per epoch, in event files under `folder`. `gammas`: the γ of each layer by its name,
    as they are when an epoch is appended."""

    def __init__(
        self, folder: Path, first_epoch: int | None = None, gammas: Mapping[str, Tensor] | None = None
    ) -> None:
        """`first_epoch`: where a resumed run continues; events of that epoch and later ones are discarded."""
        from torch.utils.tensorboard import SummaryWriter  # not everyone has it installed

        self.folder, self.gammas = folder, gammas or {}
        self.writer: Any = SummaryWriter(str(folder), purge_step=first_epoch)

    def append(self, values: Mapping[str, float | int | None]) -> None:
        """Add an epoch's values; `epoch` must be among them."""
        epoch = values["epoch"]
        with naming(self.folder):
            for name, value in values.items():
                if value is not None and name != "epoch":
                    self.writer.add_scalar(name.replace("<", "_below_"), value, epoch)
            for name, gamma in self._histograms().items():
                self.writer.add_histogram(f"gamma/{name}", gamma, epoch)
            self.writer.flush()

    def _histograms(self) -> dict[str, Tensor]:
        """The γ of each layer and of all together."""
        layers = {name: gamma.detach().float().cpu() for name, gamma in self.gammas.items()}
        return layers | ({"all layers": torch.cat(list(layers.values()))} if layers else {})


def find_board(
    folder: Path, first_epoch: int | None = None, gammas: Mapping[str, Tensor] | None = None
) -> Board | None:
    """A board, or None if the package is not installed. The events of an earlier run are removed unless this run
    continues it at `first_epoch`."""
    if first_epoch is None:
        for events in folder.glob("events.out.tfevents.*"):
            events.unlink()
    return Board(folder, first_epoch, gammas) if importlib.util.find_spec("tensorboard") else None
