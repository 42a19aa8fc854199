"""The arguments of an evaluation, and how its results are shown and saved."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from prune.cli.command import Command
from prune.cli.detectors import CFG, WEIGHTS, Files
from prune.cli.groups import RunArgs, require
from prune.detect.settings import EvaluateSettings, KeepSettings
from prune.files.writing import atomic_write
from prune.metrics.detections import Detected
from prune.metrics.findings import Findings, best_rows, findings
from prune.metrics.measure import check_objects, protocol_notes, with_findings, write_detections
from prune.metrics.result import Metrics
from prune.report.plots import MISSING, PLOTS, available, save_plots
from prune.report.tables import format_table
from prune.runtimes.types import is_exported
from prune.samples.issues import Issues
from prune.samples.sample import SampleSet
from prune.settings import option

TABLES = ("per_class.csv", "confusion.csv")
SCORING = ("ap", "points", "iou_thres", "thresh")
"""The settings of how detections are scored; the others set how they are made."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredArgs:
    """What is evaluated: a network, or the detections of one."""

    cfg: Path | None = option(None, CFG, metavar="FILE")
    weights: Path | None = option(None, WEIGHTS, metavar="FILE")
    results: Path | None = option(
        None, "evaluate this COCO results file (--save-json) instead of a network", metavar="FILE"
    )

    def __post_init__(self) -> None:
        message = (
            "give a network (--cfg FILE --weights FILE, or --weights FILE.onnx) or its detections (--results FILE)"
        )
        single = self.results is not None or (self.weights is not None and is_exported(self.weights))
        require(len(self.files) == (1 if single else 2), message)

    @property
    def files(self) -> list[Path]:
        """The files that were given."""
        return [path for path in (self.results, self.cfg, self.weights) if path is not None]

    @property
    def network(self) -> Files | None:
        """Cfg (None for an exported file) and weights of the network; None if a results file is evaluated."""
        return (self.cfg, self.weights) if self.weights else None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Metrics, the detections they were computed from, and the images that could not be read."""

    metrics: Metrics
    detected: Sequence[Detected]
    faults: Issues


def refuse_making(settings: EvaluateSettings) -> None:
    """Raise UsageError if a setting of how to make detections was changed: it has no effect on given detections."""
    made = [item for item in fields(settings) if item.name not in (*SCORING, "progress")]
    for item in made:
        flag = "--letterbox/--stretch" if item.name == "letterbox" else "--" + item.name.replace("_", "-")
        require(getattr(settings, item.name) == item.default, f"{flag} has no effect on the detections in --results")


def output_names(keep: KeepSettings, run: RunArgs) -> tuple[str, ...]:
    """The files of an evaluation. Raises UsageError if one is requested without --out."""
    require(run.out is not None or not keep.save_json, "--save-json needs --out DIR: where should the results go?")
    plots = PLOTS if keep.plots and available() else ()
    return (*TABLES, *plots, *(("detections.json",) if keep.save_json else ()))


def close_evaluation(
    command: Command, keep: KeepSettings, samples: SampleSet, done: Evaluation, facts: Mapping[str, Any]
) -> None:
    """Analyse the detections, write tables, plots and summary (`facts` and the metrics), show the numbers, and report
    what was skipped."""
    check_objects(samples, done.metrics)
    found = findings(done.detected, samples, done.metrics)
    metrics = with_findings(done.metrics, found)
    if command.run.out:
        _write(command, keep, metrics, found)
    if keep.save_json:
        write_detections(command.path("detections.json"), done.detected, samples)
    command.finish(dict(facts) | metrics.summary())
    command.echo(format_table(["", metrics.title], [*metrics.rows(), *best_rows(found)]))
    if keep.per_class:
        command.echo("\n" + format_table(*metrics.class_table()))
    for note in [*protocol_notes(samples, metrics), *samples.remarks.lines()]:
        command.echo(f"note: {note}")
    done.faults.merge(samples.faults)
    done.faults.log()


def _write(command: Command, keep: KeepSettings, metrics: Metrics, found: Findings) -> None:
    command.begin_writing()
    for name, text in zip(TABLES, (metrics.per_class_csv(), found.confusion.csv()), strict=True):
        atomic_write(command.path(name), text)
    if keep.plots and available():
        for path in save_plots(found, command.out):
            command.path(path.name)
    elif keep.plots:
        logger.warning("%s", MISSING)
