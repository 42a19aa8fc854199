"""Measure how long networks take in the runtimes that are installed, side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from tqdm import tqdm

from prune import cli
from prune.cli.benchmark import BenchmarkArgs, choose_runtimes
from prune.errors import DeploymentError
from prune.files.writing import atomic_write
from prune.report.latency import Latency, latency_csv, latency_table
from prune.report.latency_rows import latencies
from prune.runtimes.measure import Measured, Repeats, measure, steps
from prune.runtimes.prepare import InputSetting, Prepared, match_pairs, prepare
from prune.runtimes.types import Runtime
from prune.runtimes.worker import Job

EXAMPLE = "python benchmark.py --cfg a.cfg --weights a.weights --cfg b.cfg --weights b.weights --out runs/benchmark"
CFG = "a network definition (Darknet cfg); once per network, the first one is what the others are compared with"
WEIGHTS = "the weights of the cfg (.weights or our .pt), or an exported .onnx, which needs no cfg"
OUTPUTS = ("benchmark.csv", "latency.png")


def make_parser() -> cli.Parser:
    parser = cli.Parser(str(__doc__), EXAMPLE)
    parser.add_argument("--cfg", type=Path, action="append", default=[], metavar="FILE", help=CFG)
    parser.add_argument("--weights", type=Path, action="append", default=[], metavar="FILE", help=WEIGHTS)
    cli.add_options(parser, BenchmarkArgs)
    cli.add_options(parser, cli.RunArgs, omit=("device", "workers"))
    return parser


def main() -> int:
    given = make_parser().parse_args()
    asked, run = cli.take(given, BenchmarkArgs), cli.take(given, cli.RunArgs)
    networks = match_pairs(given.cfg, given.weights)
    command = cli.open_command(given, run, inputs=[*given.cfg, *given.weights], outputs=OUTPUTS)
    runtimes = choose_runtimes(asked.runtime)
    setting = InputSetting(asked.img_size, asked.batch_size, run.seed)
    with tempfile.TemporaryDirectory(prefix="darknet-prune-") as name:
        folder = Path(name)
        export = any(runtime.reads_onnx for runtime in runtimes)
        prepared = [prepare(one, setting, folder / f"network-{n}", export) for n, one in enumerate(networks)]
        jobs = [make_job(network, runtime, asked.threads) for runtime, network in product(runtimes, prepared)]
        found = measure_all(jobs, Repeats(asked.repeat, asked.warm_up), folder, not run.quiet)
    rows = latencies([runtime.name for runtime in runtimes], prepared, found)
    if run.out:
        write_results(command, rows, asked)
    command.finish({"networks": [network_facts(network) for network in prepared], "measured": rows})
    command.echo(latency_table(rows))
    if all(row.failure for row in rows):
        raise DeploymentError("no runtime could run a network: the table names the reasons")
    return 0


def make_job(network: Prepared, runtime: Runtime, threads: int) -> Job:
    files = network.files
    return Job(runtime.name, files, network.imgs, files.folder / f"{runtime.name}.npz", threads)


def measure_all(jobs: Sequence[Job], repeats: Repeats, folder: Path, progress: bool) -> list[Measured]:
    total = steps(jobs, repeats)
    with tqdm(total=total, desc="benchmark", leave=False, disable=None if progress else True) as bar:
        return measure(jobs, repeats, folder, bar.update)


def network_facts(network: Prepared) -> dict[str, Any]:
    """What summary.json says about a network."""
    batch, _, height, width = network.shape
    return asdict(network.cost) | {"name": network.name, "img_size": (width, height), "batch_size": batch}


def write_results(command: cli.Command, rows: Sequence[Latency], asked: BenchmarkArgs) -> None:
    from prune.report.latency_chart import latency_chart
    from prune.report.montage import write_picture

    command.begin_writing()
    atomic_write(command.path("benchmark.csv"), latency_csv(rows))
    if any(row.milliseconds is not None for row in rows):
        title = f"median of {asked.repeat} runs; threads: {asked.threads}; images per run: {asked.batch_size}"
        write_picture(command.path("latency.png"), latency_chart(rows, title))
