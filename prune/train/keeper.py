"""The files of a training run: last, best and mid, as checkpoints and as Darknet weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from torch import nn

from prune.darknet.weights import Header, write_weights
from prune.model.build import DarknetModel
from prune.model.state import to_weights
from prune.train.checkpoint import Checkpoint, write_checkpoint

Export = Callable[[nn.Module, int, Path], None]


class Keeper:
    """Writes into `out`. `export(network, seen, path)` writes Darknet weights; None: checkpoints only."""

    def __init__(self, out: Path, export: Export | None = None) -> None:
        self.out, self.export = out, export

    def clear(self, names: Iterable[str], spare: Path | None) -> None:
        """Remove what an earlier run left: half old, half new results would be taken for one run's."""
        for name in names:
            if self.out / name != spare:
                (self.out / name).unlink(missing_ok=True)

    def keep(self, name: str, checkpoint: Checkpoint, averaged: nn.Module) -> None:
        """Write `name`.pt and, from the averaged network, `name`.weights."""
        write_checkpoint(self.out / f"{name}.pt", checkpoint)
        if self.export is not None:
            self.export(averaged, checkpoint.seen, self.out / f"{name}.weights")

    def keep_best(self, checkpoint: Checkpoint, averaged: nn.Module) -> None:
        """best.pt is there to be used, not to be resumed: the optimiser's state stays out of it."""
        self.keep("best", replace(checkpoint, optimizer={}), averaged)

    def copy(self, name: str, checkpoint: Checkpoint) -> None:
        """Write a checkpoint that stays, such as mid.pt."""
        write_checkpoint(self.out / name, checkpoint)


def export_weights(network: nn.Module, seen: int, path: Path) -> None:
    """Darknet weights of a network."""
    assert isinstance(network, DarknetModel)
    write_weights(path, to_weights(network, Header(seen=seen)), network.netdef)
