"""`darknet-prune adapt CFG --classes N --out NEW.cfg`: the cfg for another number of classes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from prune.cli import Parser, add_options, setup_logging, take
from prune.cli.groups import require
from prune.darknet.netdef import read_netdef, write_netdef
from prune.files.temporary import remove_leftovers
from prune.files.writing import refuse_overwriting
from prune.report.visible import visible
from prune.settings import option
from prune.surgery.classes import adapt_classes

EXAMPLE = "python -m prune.adapt cfg/yolov3-tiny.cfg --classes 3 --out my.cfg"


def parse_anchors(text: str) -> tuple[float, ...]:
    """`10,14, 23,27` as numbers."""
    return tuple(float(part) for part in text.rstrip(", ").split(","))


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptArgs:
    """What to adapt a cfg to."""

    classes: int = field(metadata={"help": "number of classes of the data", "metavar": "N"})
    out: Path = field(metadata={"help": "the cfg to write", "metavar": "NEW.cfg"})
    anchors: tuple[float, ...] | None = option(
        None, "w,h,w,h,... in pixels of the input, the same number as before", parse=parse_anchors, metavar="W,H,..."
    )
    overwrite: bool = option(False, "replace NEW.cfg if it exists")


def make_parser() -> Parser:
    parser = Parser(
        "Rewrite a cfg for another number of classes; everything else is unchanged, byte for byte.", EXAMPLE
    )
    parser.add_argument("cfg", type=Path, metavar="CFG", help="the cfg to adapt")
    add_options(parser, AdaptArgs)
    return parser


def main() -> int:
    namespace = make_parser().parse_args()
    args = take(namespace, AdaptArgs)
    setup_logging(quiet=False)
    refuse_overwriting([args.out], [namespace.cfg])
    require(
        args.overwrite or not os.path.lexists(args.out), f"{args.out} exists already: pass --overwrite to replace it"
    )
    remove_leftovers([args.out])
    netdef = read_netdef(namespace.cfg)
    adapted = adapt_classes(netdef, args.classes, args.anchors, str(args.out))
    write_netdef(args.out, adapted)
    heads = adapted.heads
    print(visible(f"{args.out}: {args.classes} classes, {len(heads)} heads of {heads[0].channels} filters"))
    return 0
