"""Writes the files of a training run: last, best and mid, as checkpoints and as Darknet weights."""

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


class CheckpointWriter:
    """Writes into `out`. `export(network, seen, path)` writes Darknet weights; None: checkpoints only.

    last.pt defines how far a run has come. The files derived from it are written after it, and written again when the
    run is resumed, so that a run killed between two files leaves no file of another epoch.
    """

    def __init__(self, out: Path, export: Export | None = None) -> None:
        self.out, self.export = out, export

    def clear(self, names: Iterable[str], spare: Path | None) -> None:
        """Remove the files of an earlier run except `spare`: a mix of old and new would look like one run's results.

        The summary, which marks a run as finished, is removed first, then the checkpoint that could be resumed.
        """
        for name in dict.fromkeys((SUMMARY, LAST, *names)):
            if self.out / name != spare:
                (self.out / name).unlink(missing_ok=True)

    def reopen(self) -> None:
        """Continue a finished run: remove the summary, which marks it as finished."""
        (self.out / SUMMARY).unlink(missing_ok=True)

    def commit(self, checkpoint: Checkpoint) -> None:
        """Write last.pt."""
        write_checkpoint(self.out / LAST, checkpoint)

    def derive(self, checkpoint: Checkpoint, averaged: nn.Module, snapshots: Iterable[str] = ()) -> None:
        """Write the files derived from the checkpoint in last.pt, once an epoch is done: last.weights, best.* if its
        epoch is the best, and the `snapshots`, such as mid.pt. `averaged`: the averaged network of the checkpoint.
        """
        if checkpoint.epoch == 0:
            return
        self._export("last", checkpoint, averaged)
        if checkpoint.best.get("epoch") == checkpoint.epoch - 1:  # for use, not for resuming: no optimiser state
            write_checkpoint(self.out / "best.pt", replace(checkpoint, optimizer={}))
            self._export("best", checkpoint, averaged)
        for name in snapshots:
            write_checkpoint(self.out / name, checkpoint)

    def _export(self, name: str, checkpoint: Checkpoint, averaged: nn.Module) -> None:
        if self.export is not None:
            self.export(averaged, checkpoint.seen, self.out / f"{name}.weights")


def export_weights(network: nn.Module, seen: int, path: Path) -> None:
    """Darknet weights of a network."""
    assert isinstance(network, DarknetModel)
    write_weights(path, to_weights(network, Header(seen=seen)), network.netdef)
