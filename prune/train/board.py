"""TensorBoard logging, if it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prune.files.writing import naming


class Board:
    """Scalars per epoch, in event files under `folder`."""

    def __init__(self, folder: Path, first_epoch: int | None = None) -> None:
        """`first_epoch`: where a resumed run continues; events of that epoch and later ones are discarded."""
        from torch.utils.tensorboard import SummaryWriter  # not everyone has it installed

        self.folder = folder
        self.writer: Any = SummaryWriter(str(folder), purge_step=first_epoch)

    def append(self, values: Mapping[str, float | int | None]) -> None:
        """Add an epoch's values; `epoch` must be among them."""
        with naming(self.folder):
            for name, value in values.items():
                if value is not None and name != "epoch":
                    self.writer.add_scalar(name.replace("<", "_below_"), value, values["epoch"])
            self.writer.flush()


def find_board(folder: Path, first_epoch: int | None = None) -> Board | None:
    """A board, or None if the package is not installed. The events of an earlier run are removed unless this run
    continues it at `first_epoch`."""
    if first_epoch is None:
        for events in folder.glob("events.out.tfevents.*"):
            events.unlink()
    return Board(folder, first_epoch) if importlib.util.find_spec("tensorboard") else None
