"""`darknet-prune check DATA`: faults and statistics of a dataset, and anchors for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from prune.cli import Parser, RunArgs, add_options, open_command, parse_size, require, take
from prune.cli.outputs import refuse_existing, refuse_foreign
from prune.darknet.datafile import read_datafile
from prune.darknet.netdef import read_netdef
from prune.data.check import CheckReport, CheckSettings, check
from prune.files.temporary import remove_leftovers
from prune.files.writing import atomic_write, refuse_overwriting
from prune.report.check_page import check_page
from prune.report.check_text import check_text, verdict
from prune.report.html import is_page
from prune.settings import option

EXAMPLE = "python -m prune.check data/voc.data --cfg cfg/yolov3-tiny.cfg --html voc.html"
EXIT_FAULTS = 3
logger = logging.getLogger("prune.check")
OMITTED = ("out", "overwrite", "device", "workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckArgs:
    """What to compare with, and where to write the page."""

    cfg: Path | None = option(None, "compare the anchors with those of this cfg", metavar="FILE")
    html: Path | None = option(None, "write an HTML page with all results and pictures to FILE", metavar="FILE")
    overwrite: bool = option(False, "replace the page if it exists")
    img_size: tuple[int, int] | None = option(
        None,
        "network input for the anchors, N or WxH (default: the cfg's, or 416)",
        metavar="N",
        parse=parse_size,
    )
    letterbox: bool = option(True, "keep the aspect ratio of images, as in training", off="stretch")


def make_parser() -> Parser:
    parser = Parser("Check a dataset: images, labels, duplicates, leaks; statistics and anchors.", EXAMPLE)
    parser.add_argument("data", type=Path, metavar="DATA", help="the .data file of the dataset")
    for group, omit in ((CheckSettings, ("seed", "progress")), (CheckArgs, ()), (RunArgs, OMITTED)):
        add_options(parser, group, omit=omit)
    return parser


def main() -> int:
    given = make_parser().parse_args()
    run, args = take(given, RunArgs), take(given, CheckArgs)
    command = open_command(given, run, inputs=[given.data, args.cfg])
    if args.html is not None:
        refuse_overwriting([args.html], [given.data, args.cfg])
        same = run.json not in (None, "-") and Path(str(run.json)).resolve() == args.html.resolve()
        require(not same, f"--html and --json both name {args.html}; choose two files")
        refuse_existing([] if args.overwrite else [args.html])
        refuse_foreign(args.html, is_page, "a page")
        remove_leftovers([args.html])
    report = examine(given.data, args, take(given, CheckSettings, progress=not run.quiet))
    if args.html is not None:
        atomic_write(args.html, check_page(report, given.data.name))
        command.written.append(args.html)
    command.finish(report.facts())
    command.echo(check_text(report))
    command.echo(verdict(report))
    if run.quiet and report.faults:
        logger.warning("%s", verdict(report))
    return EXIT_FAULTS if report.faults else 0


def examine(data: Path, args: CheckArgs, settings: CheckSettings) -> CheckReport:
    """Run the check, with anchors for the size of the flags, else of the cfg, else 416."""
    netdef = read_netdef(args.cfg) if args.cfg else None
    size = args.img_size or ((netdef.net.width, netdef.net.height) if netdef else (416, 416))
    return check(read_datafile(data), settings, size, args.letterbox, netdef)
