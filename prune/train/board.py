"""TensorBoard, where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Board:
    """Scalars per epoch, in event files under `folder`."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # not everyone has it installed

        self.writer: Any = SummaryWriter(str(folder))

    def append(self, values: Mapping[str, float | int | None]) -> None:
        """Add an epoch's values, which hold `epoch`."""
        for name, value in values.items():
            if value is not None and name != "epoch":
                self.writer.add_scalar(name.replace("<", "_below_"), value, values["epoch"])
        self.writer.flush()


def find_board(folder: Path, continues: bool = False) -> Board | None:
    """A board, or None where the package is absent. The events of an earlier run go unless this one `continues` it."""
    if not continues:
        for events in folder.glob("events.out.tfevents.*"):
            events.unlink()
    return Board(folder) if importlib.util.find_spec("tensorboard") else None
