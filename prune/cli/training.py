"""What the training commands share: their flags, and how a run begins and ends."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prune.cli.command import Command, open_command
from prune.cli.groups import DataArgs, ImageArgs, RunArgs, StartArgs
from prune.cli.parser import Parser, add_options, take
from prune.darknet.seen import clear_note
from prune.detect.settings import LossSettings
from prune.loading.augment import AugmentSettings
from prune.metrics.settings import Protocol
from prune.report.tables import format_table
from prune.settings import option
from prune.train.job import Job
from prune.train.settings import TrainSettings

if TYPE_CHECKING:
    from prune.train.hooks import Hook
    from prune.train.session import Session

FINETUNE_DEFAULTS: dict[str, Any] = {"epochs": 50, "lr": 0.002, "warmup": 1.0}
"""For a network that is already trained: smaller steps and fewer epochs."""
SHARED_DEFAULTS: dict[str, Any] = {"batch_size": 8, "optimizer": "adamw"}
OUTPUTS = (
    "last.pt",
    "best.pt",
    "last.weights",
    "best.weights",
    "model.cfg",
    "results.csv",
    "results.png",
    "batch.png",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureArgs:
    """How the network is evaluated while it trains."""

    ap: Protocol | None = option(None, "protocol of the average precision (default: coco for COCO data, else voc10)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherArgs:
    """The teacher; its heads must be the same as the student's."""

    t_cfg: Path = field(metadata={"help": "the teacher's cfg", "metavar": "FILE"})
    t_weights: Path = field(metadata={"help": "the teacher's weights (.weights or our .pt)", "metavar": "FILE"})


def training_parser(
    description: str,
    example: str,
    *,
    groups: Mapping[str, type[Any]] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Parser:
    """A parser with the flags of all training commands and, under their titles, those of `groups`.

    `defaults` replaces defaults by field name; `out` is one of them.
    """
    parser = Parser(description, example)
    shared: dict[str, type[Any]] = {"network": StartArgs, "data": DataArgs, "images": ImageArgs}
    titles = (
        shared
        | dict(groups or {})
        | {
            "training": TrainSettings,
            "measuring": MeasureArgs,
            "run": RunArgs,
            "loss": LossSettings,
            "augmentation": AugmentSettings,
        }
    )
    for title, group in titles.items():
        add_options(parser, group, title=title, defaults=SHARED_DEFAULTS | dict(defaults or {}))
    return parser


def open_training(
    namespace: argparse.Namespace, *, inputs: Sequence[Path | None] = (), outputs: Sequence[str] = ()
) -> tuple[Job, Command]:
    """The requested job, and its command after all checks of files.

    `inputs`, `outputs`: files in addition to those that every training reads and writes.
    """
    start, data, images = take(namespace, StartArgs), take(namespace, DataArgs), take(namespace, ImageArgs)
    train, run = take(namespace, TrainSettings), take(namespace, RunArgs)
    assert run.out is not None, "the parser has a default for --out"
    job = Job(
        cfg=start.cfg,
        weights=start.weights,
        weights_cfg=start.weights_cfg,
        data=data.data,
        out=run.out,
        img_size=images.img_size,
        letterbox=images.letterbox is not False,
        batch_size=images.batch_size,
        device=run.device,
        workers=run.workers,
        seed=run.seed,
        quiet=run.quiet,
        ap=take(namespace, MeasureArgs).ap,
        outputs=(*OUTPUTS, *outputs),
        train=train,
        loss=take(namespace, LossSettings),
        augment=take(namespace, AugmentSettings),
    )
    command = open_command(
        namespace,
        run,
        inputs=[start.cfg, start.weights, start.weights_cfg, data.data, *inputs],
        outputs=job.outputs,
        resume=job.resume,
    )
    for name in job.outputs:
        command.path(name)
    return job, command


def fit(session: Session, hooks: Sequence[Hook] = (), measured: Literal["best", "last"] = "best") -> None:
    """Train with pictures of the first batch and of the results; see `Session.fit`."""
    from prune.report.watching import BATCH, RESULTS, BatchPicture, ResultsPicture  # torch: after the arguments

    if not session.world.writes:
        session.fit(hooks, measured)
        return
    out, kept = session.job.out, session.job.continues
    results = ResultsPicture(out / RESULTS, out / "results.csv")
    first = [] if kept and (out / BATCH).is_file() else [BatchPicture(out / BATCH, session.train_set.names)]
    session.fit([*hooks, *first], measured, [results])
    if not results.path.is_file():  # a run that was finished before is resumed
        results.draw()


def close_training(command: Command, session: Session, more: Mapping[str, Any] | None = None) -> None:
    """Write the summary, with `more` facts, and show the results."""
    if not session.world.writes:
        return
    facts = session.facts() | dict(more or {})
    command.finish(facts)
    names = ("best_epoch", "ap", "ap50", "parameters", "bflops", "weights_bytes")
    command.echo(format_table(["", str(command.out)], [[name, facts[name]] for name in names if name in facts]))
    if note := clear_note(session.netdef, session.progress.seen):
        command.echo(f"note: {note}")
