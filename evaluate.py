"""Measure a network on the valid images of a data set."""

from __future__ import annotations

from dataclasses import asdict

from prune import cli
from prune.darknet.datafile import read_datafile
from prune.darknet.files import atomic_write
from prune.darknet.netdef import read_netdef
from prune.detect.samples import read_samples
from prune.detect.settings import EvaluateSettings, KeepSettings
from prune.graph.cost import network_cost
from prune.report.tables import format_table

EXAMPLE = "python evaluate.py --cfg net.cfg --weights net.weights --data data/coco.data --ap coco --per-class"
IMAGE_FLAGS = ("img_size", "letterbox", "batch_size", "workers", "progress")


def main() -> int:
    parser = cli.Parser("Measure a network on the valid images of a data set.", EXAMPLE)
    for group in (cli.NetworkArgs, cli.DataArgs, cli.ImageArgs, KeepSettings, cli.RunArgs):
        cli.add_options(parser, group)
    cli.add_options(parser, EvaluateSettings, omit=IMAGE_FLAGS)
    given = parser.parse_args()
    network, data = cli.take(given, cli.NetworkArgs), cli.take(given, cli.DataArgs).data
    run, keep = cli.take(given, cli.RunArgs), cli.take(given, KeepSettings)
    settings = cli.take(given, EvaluateSettings, progress=not run.quiet)
    command = cli.open_command(
        given,
        run,
        inputs=[network.cfg, network.weights, data],
        outputs=("per_class.csv", "detections.json")[: 1 + keep.save_json],
    )
    detections = command.path("detections.json") if keep.save_json else None
    netdef, samples = read_netdef(network.cfg), read_samples(read_datafile(data), "valid")

    from prune.detect import evaluate  # torch comes in here, after the arguments parsed
    from prune.model.build import build
    from prune.model.state import load_weights
    from prune.train.device import select_device
    from prune.train.start import read_exact

    load_weights(model := build(netdef), read_exact(network.weights, netdef))
    metrics, detected, faults = evaluate.examine(model.to(select_device(run.device)), samples, settings)
    faults.merge(samples.faults)
    faults.log()
    if run.out:
        atomic_write(command.path("per_class.csv"), metrics.per_class_csv())
    if detections:
        evaluate.write_detections(detections, detected, samples)
    command.finish(asdict(network_cost(netdef, *metrics.img_size)) | metrics.summary())
    command.echo(format_table(["", metrics.title], metrics.rows(classes=keep.per_class)))
    return 0


if __name__ == "__main__":
    cli.run_command(main)
