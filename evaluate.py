"""Measure a network on the valid images of a data set."""

from __future__ import annotations

import logging
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
TABLES = ("per_class.csv", "confusion.csv")
_log = logging.getLogger("prune.evaluate")


def main() -> int:
    parser = cli.Parser("Measure a network on the valid images of a data set.", EXAMPLE)
    for group in (cli.NetworkArgs, cli.DataArgs, cli.ImageArgs, KeepSettings, cli.RunArgs):
        cli.add_options(parser, group)
    cli.add_options(parser, EvaluateSettings, omit=IMAGE_FLAGS)
    given = parser.parse_args()
    network, data = cli.take(given, cli.NetworkArgs), cli.take(given, cli.DataArgs).data
    run, keep = cli.take(given, cli.RunArgs), cli.take(given, KeepSettings)
    settings = cli.take(given, EvaluateSettings, progress=not run.quiet)

    from prune.report.plots import MISSING, PLOTS, available, save_plots

    plots = PLOTS if keep.plots and available() else ()
    command = cli.open_command(
        given,
        run,
        inputs=[network.cfg, network.weights, data],
        outputs=(*TABLES, *plots, *(("detections.json",) if keep.save_json else ())),
    )
    detections = command.path("detections.json") if keep.save_json else None
    netdef, samples = read_netdef(network.cfg), read_samples(read_datafile(data), "valid")

    from prune.detect.evaluate import examine  # torch comes in here, after the arguments parsed
    from prune.detect.findings import best_rows, findings
    from prune.detect.measure import check_objects, protocol_notes, with_findings, write_detections
    from prune.model.build import build
    from prune.model.state import load_weights
    from prune.train.device import select_device
    from prune.train.start import read_exact

    load_weights(model := build(netdef), read_exact(network.weights, netdef))
    metrics, detected, faults = examine(model.to(select_device(run.device)), samples, settings)
    check_objects(samples, metrics)
    found = findings(detected, samples, metrics)
    metrics = with_findings(metrics, found)
    if run.out:
        for name, text in zip(TABLES, (metrics.per_class_csv(), found.confusion.csv()), strict=True):
            atomic_write(command.path(name), text)
        for path in save_plots(found, run.out) if plots else ():
            command.path(path.name)
        if keep.plots and not plots:
            _log.warning("%s", MISSING)
    if detections:
        write_detections(detections, detected, samples)
    command.finish(asdict(network_cost(netdef, *metrics.img_size)) | metrics.summary())
    command.echo(format_table(["", metrics.title], [*metrics.rows(), *best_rows(found)]))
    if keep.per_class:
        command.echo("\n" + format_table(*metrics.class_table()))
    for note in protocol_notes(samples, metrics):
        command.echo(f"note: {note}")
    faults.merge(samples.faults)
    faults.log()
    return 0


if __name__ == "__main__":
    cli.run_command(main)
