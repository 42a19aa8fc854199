"""`darknet-prune compare DIR DIR …`: the summaries of several stages side by side.

With `--behind X` it is a guard: exit 3 if the AP50 of the last stage is more than X below the first's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prune.cli import Parser, add_options, take
from prune.errors import DataError, TargetError
from prune.files.reading import read_json
from prune.report.tables import format_table
from prune.report.visible import visible_lines
from prune.samples.coco_boxes import finite
from prune.settings import option

EXAMPLE = "python -m prune.compare runs/demo/baseline runs/demo/finetune --behind 0.01"
METRICS = ("ap", "ap50", "ap75")
COSTS = ("parameters", "bflops", "weights_bytes", "layers")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareArgs:
    """The guard."""

    behind: float | None = option(
        None, "maximum AP50 drop allowed from the first to the last stage; more: exit 3", metavar="X"
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """The network that a stage produced; `facts`: the fields of its summary.json."""

    name: str
    facts: Mapping[str, Any]


def read_stage(folder: Path) -> Stage:
    """The stage whose results are in `folder`. Raises DataError if there is no summary, or one without a network or
    without a number where one is required."""
    path = folder / "summary.json"
    summary = read_json(path)
    facts = summary.get("after", summary) if isinstance(summary, dict) else None
    if not isinstance(facts, dict) or "parameters" not in facts:
        raise DataError(path, None, "describes no network; pass the output folder of a training, pruning or evaluation")
    for name in (*COSTS, *(metric for metric in METRICS if metric in facts)):
        if finite(facts.get(name)) is None:
            value = repr(facts[name])[:60] if name in facts else "missing"
            raise DataError(path, None, f"'{name}' must be a number, but is {value}; run the command again")
    return Stage(folder.name, facts)


def format_stages(stages: Sequence[Stage]) -> str:
    """One row per stage; changes are relative to the first."""
    metrics = [name for name in METRICS if any(name in stage.facts for stage in stages)]
    first = stages[0].facts
    rows = [
        [
            stage.name,
            *(stage.facts.get(name) for name in metrics),
            stage.facts["parameters"],
            _change(stage.facts["parameters"], first["parameters"]),
            stage.facts["bflops"],
            _change(stage.facts["bflops"], first["bflops"]),
            f"{stage.facts['weights_bytes'] / 1e6:.2f}".rjust(6),
            stage.facts["layers"],
        ]
        for stage in stages
    ]
    return format_table(("stage", *metrics, "parameters", "", "BFLOPs", "", "MB", "layers"), rows)


def check_behind(stages: Sequence[Stage], behind: float) -> None:
    """Raise TargetError if the last stage's AP50 is more than `behind` below the first's, or one of them is missing."""
    first, last = stages[0].facts.get("ap50"), stages[-1].facts.get("ap50")
    if first is None or last is None:
        raise TargetError(f"--behind: {stages[0].name} and {stages[-1].name} must both have an AP50")
    if first - last > behind:
        raise TargetError(
            f"{stages[-1].name} has AP50 {last:.4f}, more than {behind:g} below the {first:.4f} of {stages[0].name}"
        )


def _change(value: float, reference: float) -> str:
    return "" if value == reference or not reference else f"{100 * (value - reference) / reference:+.1f} %"


def make_parser() -> Parser:
    parser = Parser("Show the networks of several stages side by side.", EXAMPLE)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="folders with a summary.json")
    add_options(parser, CompareArgs)
    return parser


def main() -> int:
    namespace = make_parser().parse_args()
    stages = [read_stage(folder) for folder in namespace.folders]
    print(visible_lines(format_stages(stages)))
    behind = take(namespace, CompareArgs).behind
    if behind is not None:
        check_behind(stages, behind)
    return 0
