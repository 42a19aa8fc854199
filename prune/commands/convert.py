"""`darknet-prune convert DATA --to FORMAT --out DIR`: a dataset in another format."""

from __future__ import annotations

import logging
from pathlib import Path

from prune.cli import Parser, RunArgs, add_options, open_command, take
from prune.darknet.datafile import read_datafile
from prune.data.choice import Choice
from prune.data.convert import Conversion, ConvertSettings, convert
from prune.data.manifest import SUMMARY
from prune.data.staging import check_free
from prune.files.reading import read_text
from prune.files.writing import atomic_write
from prune.report.summary import FileRecord, format_summary
from prune.report.tables import format_table

EXAMPLE = "python -m prune.convert data/voc.data --to coco --out runs/voc-as-coco --classes cat,dog"
OMITTED = ("device", "workers", "seed")
logger = logging.getLogger("prune.convert")


def make_parser() -> Parser:
    parser = Parser("Convert a dataset (COCO, VOC or Darknet) to another format, with a .data file for it.", EXAMPLE)
    parser.add_argument("data", type=Path, metavar="DATA", help="the .data file of the dataset")
    for group in (ConvertSettings, Choice):
        add_options(parser, group)
    add_options(parser, RunArgs, omit=OMITTED, required=["out"])
    return parser


def main() -> int:
    given = make_parser().parse_args()
    run, settings = take(given, RunArgs), take(given, ConvertSettings)
    command = open_command(given, run, inputs=[given.data])
    check_free(command.out, command.name, run.overwrite)

    def seal(done: Conversion, folder: Path) -> None:
        records = [FileRecord(str(done.data), done.files[done.data.name])]
        atomic_write(folder / SUMMARY, format_summary(command.summary(done.facts(), records)))

    done = convert(read_datafile(given.data), settings, take(given, Choice), command.out, run.overwrite, seal)
    done.faults.log()
    for line in done.notes.lines():
        logger.info("note: %s", line)
    command.show(read_text(command.out / SUMMARY))
    rows = [[split, *counts.values()] for split, counts in done.counts.items()]
    command.echo(format_table(("split", "images", "objects", "difficult", "crowd"), rows))
    command.echo(f"ready: --data {done.data}")
    return 0
