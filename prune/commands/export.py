"""Export a network as one ONNX file."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

from prune.cli import Command, NetworkArgs, Parser, RunArgs, add_options, open_command, parse_size, require, take
from prune.darknet.netdef import read_netdef
from prune.darknet.shapes import network_size
from prune.detect.predict_settings import NamesArgs, class_count
from prune.export.settings import OPSET, ExportSettings
from prune.export.source import Source
from prune.files.writing import atomic_file
from prune.graph.cost import Cost, network_cost
from prune.settings import option

EXAMPLE = "python export.py --cfg net.cfg --weights net.weights --out net.onnx --names data/coco.names"
SUFFIX = ".onnx"
MISSING = "an export needs onnx, which is not installed: pip install onnx onnxruntime"
CHECKED = "onnxruntime computes with it what the network computes, to {:.0e} of the largest value"
UNCHECKED = "%s: not compared with the network, as onnxruntime is not installed (pip install onnxruntime)"
OMITTED = ("out", "overwrite", "device", "workers", "seed")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportArgs:
    """The file to write, and the size of its images."""

    out: Path = field(metadata={"help": "the file to write; its summary is FILE.onnx.json", "metavar": "FILE.onnx"})
    overwrite: bool = option(False, "replace FILE.onnx and its summary if they exist")
    img_size: tuple[int, int] | None = option(
        None,
        "network input, N or WxH, multiples of the largest stride (default: the cfg's)",
        metavar="N",
        parse=parse_size,
    )

    def __post_init__(self) -> None:
        require(self.out.suffix == SUFFIX, f"--out {self.out} must be a file name that ends in {SUFFIX}")

    @property
    def summary(self) -> str:
        """The name of the summary, which is written next to the file."""
        return f"{self.out.name}.json"


def make_parser() -> Parser:
    parser = Parser("Export a network as one ONNX file, checked with onnxruntime.", EXAMPLE)
    for group in (NetworkArgs, ExportArgs, ExportSettings, NamesArgs):
        add_options(parser, group)
    add_options(parser, RunArgs, omit=OMITTED)
    return parser


def main() -> int:
    given = make_parser().parse_args()
    network, args, naming = take(given, NetworkArgs), take(given, ExportArgs), take(given, NamesArgs)
    settings, run = take(given, ExportSettings), take(given, RunArgs, out=args.out.parent)
    require(find_spec("onnx") is not None, MISSING)
    inputs = [network.cfg, network.weights, naming.names, naming.data]
    command = open_command(given, run, inputs=inputs, outputs=[args.out.name], summary=args.summary)
    netdef = read_netdef(network.cfg)
    size = network_size(netdef, args.img_size)
    names = naming.read(class_count(netdef)) if naming.names or naming.data else None

    from prune.model.files import read_exact  # torch is imported only after the arguments are parsed

    weights = read_exact(network.weights, netdef)
    deviation = write_checked(command, args.out, Source(netdef, weights, settings, size, names))
    cost = network_cost(netdef, *size)
    command.finish({**asdict(cost), "opset": OPSET, "img_size": size, "deviation": deviation})
    command.echo(closing_lines(args.out, cost, deviation))
    return 0


def write_checked(command: Command, path: Path, source: Source) -> float | None:
    """Write the file; returns the deviation of what onnxruntime computes with it, None where that is not installed.

    Raises VerificationError if it is too large; then nothing was written.
    """
    from prune.detect.export_check import check_exported
    from prune.export.build import write_network
    from prune.export.runtime import can_run

    deviation = None
    with atomic_file(command.path(path.name)) as file:
        write_network(file, source)
        file.flush()
        if can_run():
            deviation = check_exported(Path(file.name), source)
        else:
            logger.warning(UNCHECKED, path)
        command.begin_writing()
    return deviation


def closing_lines(path: Path, cost: Cost, deviation: float | None) -> str:
    """What was written, and how it was checked."""
    size = f"{cost.parameters:,} parameters, {cost.bflops:.3f} BFLOPs, {path.stat().st_size / 1e6:.1f} MB"
    written = f"{path}: {size}, ONNX opset {OPSET}"
    return written if deviation is None else f"{written}\n{CHECKED.format(deviation)}"
