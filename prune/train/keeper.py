"""The files of a training run: last, best and mid, as checkpoints and as Darknet weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from torch import nn

from prune.darknet.records import Header
from prune.darknet.weights import write_weights
from prune.model.build import DarknetModel
from prune.model.state import to_weights
from prune.train.checkpoint import Checkpoint, write_checkpoint

Export = Callable[[nn.Module, int, Path], None]


LAST, SUMMARY = "last.pt", "summary.json"


class Keeper:
    """Writes into `out`. `export(network, seen, path)` writes Darknet weights; None: checkpoints only.

    last.pt decides how far a run has come. What can be made from it is written after it, and made again from it when
    the run is resumed, so that a kill between two files leaves nothing behind that belongs to another epoch.
    """

    def __init__(self, out: Path, export: Export | None = None) -> None:
        self.out, self.export = out, export

    def clear(self, names: Iterable[str], spare: Path | None) -> None:
        """Remove what an earlier run left: half old, half new results would be taken for one run's.

        The summary, which says that a run is finished, goes first, then the checkpoint that could be resumed.
        """
        for name in dict.fromkeys((SUMMARY, LAST, *names)):
            if self.out / name != spare:
                (self.out / name).unlink(missing_ok=True)

    def reopen(self) -> None:
        """A finished run goes on: its summary would say that it is finished still."""
        (self.out / SUMMARY).unlink(missing_ok=True)

    def commit(self, checkpoint: Checkpoint) -> None:
        """Write last.pt."""
        write_checkpoint(self.out / LAST, checkpoint)

    def derive(self, checkpoint: Checkpoint, averaged: nn.Module, copies: Iterable[str] = ()) -> None:
        """Write what is made from the checkpoint in last.pt, once an epoch is done: last.weights, best.* where its
        epoch is the best, and `copies` that stay, such as mid.pt. `averaged`: the averaged network of the checkpoint.
        """
        if checkpoint.epoch == 0:
            return
        self._export("last", checkpoint, averaged)
        if checkpoint.best.get("epoch") == checkpoint.epoch - 1:  # to be used, not resumed: without the optimiser
            write_checkpoint(self.out / "best.pt", replace(checkpoint, optimizer={}))
            self._export("best", checkpoint, averaged)
        for name in copies:
            write_checkpoint(self.out / name, checkpoint)

    def _export(self, name: str, checkpoint: Checkpoint, averaged: nn.Module) -> None:
        if self.export is not None:
            self.export(averaged, checkpoint.seen, self.out / f"{name}.weights")


def export_weights(network: nn.Module, seen: int, path: Path) -> None:
    """Darknet weights of a network."""
    assert isinstance(network, DarknetModel)
    write_weights(path, to_weights(network, Header(seen=seen)), network.netdef)
