"""Fine-tune a pruned network with the unpruned network as its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prune.cli import Parser, take, take_row
from prune.cli.training import FINETUNE_DEFAULTS, TeacherArgs, close_training, fit, open_training, training_parser
from prune.train.settings import DistillSettings
from prune.train.strategies import STRATEGIES

EXAMPLE = (
    "python distill.py --cfg runs/cut/pruned.cfg --weights runs/cut/pruned.weights "
    "--t-cfg runs/base/model.cfg --t-weights runs/base/best.weights "
    "--data data/shapes/shapes.data --epochs 30 --out runs/distilled"
)


def make_parser() -> Parser:
    groups: dict[str, type[Any]] = {"teacher": TeacherArgs, "distillation": DistillSettings, **STRATEGIES}
    return training_parser(
        str(__doc__), EXAMPLE, groups=groups, defaults=FINETUNE_DEFAULTS | {"out": Path("runs/distill")}
    )


def main() -> int:
    namespace = make_parser().parse_args()
    teacher, settings = take(namespace, TeacherArgs), take(namespace, DistillSettings)
    strategy = take_row(namespace, STRATEGIES, settings.strategy)
    job, command = open_training(namespace, inputs=[teacher.t_cfg, teacher.t_weights])

    from prune.train.distill import distill_from
    from prune.train.session import Session

    session = Session(job)
    fit(session, [distill_from(session, teacher.t_cfg, teacher.t_weights, strategy, settings.distill_weight)])
    close_training(command, session)
    return 0
