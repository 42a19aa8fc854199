"""What the commands share that say whether a network can be cut: two files, one sentence, one exit code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prune.cli.command import Command
from prune.darknet.records import Weights
from prune.darknet.weights import read_weights
from prune.errors import DataError, TargetError
from prune.files.writing import atomic_write
from prune.graph.channels import ChannelGraph
from prune.plan.goal import Goal
from prune.plan.readiness import Readiness, assess, prunable_gammas
from prune.report.gamma_chart import Histograms, gamma_chart
from prune.report.montage import write_picture
from prune.report.readiness import readiness_facts
from prune.report.summary import drop_absent
from prune.settings import option

if TYPE_CHECKING:
    from prune.train.gamma import GammaHistory
    from prune.train.session import Session

READINESS, PICTURE = "readiness.json", "gamma.png"
LATEST = 2**62
"""An epoch after all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyArgs:
    """What follows from the answer."""

    require_ready: bool = option(False, "exit code 3 unless a cut is safe; the files are written all the same")


def read_history(path: Path) -> Histograms:
    """The histograms in a gamma_history.npz. Raises DataError if it is none, or contains no epoch."""
    from prune.train.gamma import resume_history  # torch is imported only after the arguments are parsed

    wrong = "is not the gamma_history.npz of a sparse training, or is damaged; pass another --history"
    try:
        found = histograms(resume_history(path, LATEST))
    except DataError as cause:
        raise DataError(path, None, wrong) from cause
    if found is None:
        raise DataError(path, None, wrong)
    return found


def histograms(history: GammaHistory) -> Histograms | None:
    """What the picture needs of a history; None where no epoch was recorded."""
    if history.edges is None or not history.rows:
        return None
    return Histograms(np.array(list(history.rows), float), history.edges, np.stack(list(history.rows.values())))


def write_readiness(
    command: Command, graph: ChannelGraph, weights: Weights, readiness: Readiness, history: Histograms | None
) -> None:
    """Write readiness.json and gamma.png into the out folder."""
    facts = drop_absent(readiness_facts(readiness))
    values = prunable_gammas(graph, weights)
    atomic_write(command.path(READINESS), json.dumps(facts, indent=1) + "\n")
    write_picture(command.path(PICTURE), gamma_chart(values[np.isfinite(values)], readiness, history))


def forget_readiness(session: Session) -> None:
    """Remove both files of a finished run that is trained on in place: until its end they would describe an earlier
    epoch. They are made of the weights that are to be pruned, again whenever the run is resumed."""
    trains_on = session.job.continues and session.first_epoch < session.job.train.epochs
    if trains_on and session.world.writes:
        for name in (PICTURE, READINESS):
            (session.job.out / name).unlink(missing_ok=True)


def assess_run(
    command: Command, graph: ChannelGraph, history: GammaHistory | None, name: str, goal: Goal | None
) -> Readiness:
    """The readiness of the weights file `name` of a finished sparse training, which had that goal; writes both
    files."""
    weights = read_weights(command.path(name), graph.netdef)
    readiness = assess(graph, weights, goal)
    write_readiness(command, graph, weights, readiness, histograms(history) if history else None)
    return readiness


def check_ready(readiness: Readiness, args: ReadyArgs) -> None:
    """Raise TargetError if the network had to be ready and is not."""
    if args.require_ready and not readiness.ready:
        raise TargetError(f"--require-ready: {readiness.advice()}")
