"""The records of a run that are written after each epoch: results.csv and TensorBoard."""

from __future__ import annotations

from pathlib import Path

from prune.model.build import DarknetModel
from prune.train.board import find_board
from prune.train.engine import Logger
from prune.train.results import resume_results


def open_loggers(out: Path, model: DarknetModel, first_epoch: int | None) -> list[Logger]:
    """The loggers of a run in `out`. `first_epoch`: where a resumed run continues its own records; None: a new run."""
    gammas = {f"layer {i}": block.bn.weight for i, block in model.convolutions() if block.bn is not None}
    board = find_board(out / "tensorboard", first_epoch, gammas)
    return [resume_results(out / "results.csv", first_epoch), *([board] if board else [])]
