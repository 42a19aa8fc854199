"""Evaluate a network, or a file of its detections, on the valid images of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prune import cli
from prune.cli.evaluation import Evaluation, MeasuredArgs, close_evaluation, output_names, refuse_making
from prune.darknet.datafile import read_datafile
from prune.darknet.shapes import network_size
from prune.detect.settings import EvaluateSettings, KeepSettings
from prune.graph.cost import network_cost
from prune.metrics.coco_results import read_results
from prune.metrics.measure import measure
from prune.metrics.result import ResultsFile
from prune.runtimes.open import read_detector
from prune.samples.read import read_samples
from prune.samples.sample import SampleSet

EXAMPLE = "python evaluate.py --cfg net.cfg --weights net.weights --data data/coco.data --ap coco --per-class"
IMAGE_FLAGS = ("img_size", "letterbox", "batch_size", "workers", "progress")


def make_parser() -> cli.Parser:
    parser = cli.Parser("Evaluate a network, or a file of its detections, on the valid images of a dataset.", EXAMPLE)
    for group in (MeasuredArgs, cli.DataArgs, cli.ImageArgs, KeepSettings, cli.RunArgs):
        cli.add_options(parser, group)
    cli.add_options(parser, EvaluateSettings, omit=IMAGE_FLAGS)
    return parser


def main() -> int:
    given = make_parser().parse_args()
    measured, data = cli.take(given, MeasuredArgs), cli.take(given, cli.DataArgs).data
    run, keep = cli.take(given, cli.RunArgs), cli.take(given, KeepSettings)
    settings = cli.take(given, EvaluateSettings, progress=not run.quiet, workers=run.workers or 0)
    command = cli.open_command(given, run, inputs=[*measured.files, data], outputs=output_names(keep, run))
    samples = read_samples(read_datafile(data), "valid")
    if measured.network:
        done, facts = evaluate_network(*measured.network, samples, settings, run.device)
    else:
        done, facts = evaluate_results(measured.files[0], samples, settings), {}
    close_evaluation(command, keep, samples, done, facts)
    return 0


def evaluate_network(
    cfg: Path | None, weights: Path, samples: SampleSet, settings: EvaluateSettings, device: str
) -> tuple[Evaluation, Mapping[str, Any]]:
    from prune.detect.evaluate import examine  # torch is imported only after the arguments are parsed

    model = read_detector(cfg, weights).open(device)
    done = Evaluation(*examine(model, samples, settings))
    return done, asdict(network_cost(model.netdef, *network_size(model.netdef, settings.img_size)))


def evaluate_results(path: Path, samples: SampleSet, settings: EvaluateSettings) -> Evaluation:
    refuse_making(settings)
    detected, faults = read_results(path, samples)
    origin = ResultsFile(path, sum(len(image.found) for image in detected))
    return Evaluation(measure(detected, samples, settings, origin), detected, faults)
