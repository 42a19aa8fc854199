"""Show what a network detects in images and videos and, with --compare, what a second one misses and adds."""

from __future__ import annotations

from pathlib import Path

from prune import cli
from prune.cli.detectors import DetectorArgs, compared_files
from prune.detect.predict_settings import DetectSettings, NamesArgs, check_names, class_count
from prune.files.writing import refuse_overwriting
from prune.report.detection_files import output_names
from prune.runtimes.open import read_detector
from prune.samples.frames import read_frames
from prune.samples.issues import Issues
from prune.samples.sources import find_sources

EXAMPLE = "python detect.py --cfg net.cfg --weights net.weights --names data/coco.names --source photos --out runs/seen"
SOURCE = "images, folders (recursively), globs, videos, text lists of these"
COMPARE = "a second network (CFG WEIGHTS, or an exported .onnx), shown on the right with what it misses and adds"


def make_parser() -> cli.Parser:
    parser = cli.Parser(str(__doc__), EXAMPLE)
    cli.add_options(parser, DetectorArgs)
    parser.add_argument("--source", nargs="+", required=True, metavar="PATH", help=SOURCE)
    parser.add_argument("--compare", nargs="+", type=Path, metavar="FILE", help=COMPARE)
    cli.add_options(parser, NamesArgs)
    cli.add_options(parser, cli.ImageArgs, defaults={"batch_size": 4})
    cli.add_options(parser, DetectSettings, omit=("img_size", "letterbox", "batch_size"))
    cli.add_options(parser, cli.RunArgs, omit=("workers", "seed"), defaults={"out": Path("runs/detect")})
    return parser


def main() -> int:
    given = make_parser().parse_args()
    network, run, naming = cli.take(given, DetectorArgs), cli.take(given, cli.RunArgs), cli.take(given, NamesArgs)
    cli.take(given, cli.ImageArgs)  # its own checks
    settings = cli.take(given, DetectSettings)
    pairs = [network.files, *compared_files(given.compare)]
    files = [path for pair in pairs for path in pair]

    sources = find_sources(given.source, faults := Issues(), leave_out=run.out)
    outputs = output_names(sources, settings)
    command = cli.open_command(
        given,
        run,
        inputs=[*files, naming.names, naming.data],
        outputs=outputs,
        read=[source.path for source in sources],
    )
    refuse_overwriting((command.out / name for name in outputs), (source.path for source in sources))
    detectors = [read_detector(*pair) for pair in pairs]
    netdefs = [detector.netdef for detector in detectors]
    names = naming.read(class_count(netdefs[0]), detectors[0].names)
    for netdef in netdefs:
        check_names(netdef, names)

    from prune.detect.predict import predict  # torch is imported only after the arguments are parsed
    from prune.report.detection_writer import DetectionWriter
    from prune.report.networks import network_title

    models = [detector.open(run.device) for detector in detectors]
    titles = [network_title(role, n) for role, n in zip(("original", "pruned"), netdefs, strict=False)]
    with DetectionWriter(command.begin_writing(), names, titles, settings) as writer:
        for seen in predict(models, read_frames(sources, faults, not run.quiet), settings):
            writer.add(seen)
    faults.log()
    command.written += writer.written
    command.finish(writer.facts())
    command.echo(writer.table())
    return 0
