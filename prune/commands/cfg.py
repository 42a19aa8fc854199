"""`darknet-prune cfg [NAME]`: the cfgs that come with this program, listed or printed."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from prune.cli import Parser
from prune.commands.shipped import shipped
from prune.darknet.netdef import read_netdef
from prune.graph.cost import network_cost
from prune.report.tables import format_table

EXAMPLE = "darknet-prune cfg yolov3-tiny > my.cfg"
COLUMNS = ("layers", "parameters", "bflops")


def names() -> list[str]:
    """The names of the cfgs, without `.cfg`."""
    return sorted(path.stem for path in shipped("cfg").glob("*.cfg"))


def make_parser() -> Parser:
    parser = Parser("List the cfgs that come with this program, or print one.", EXAMPLE)
    parser.add_argument(
        "name",
        nargs="?",
        type=lambda text: text.removesuffix(".cfg"),
        choices=names(),
        metavar="NAME",
        help="the cfg to print (default: list them)",
    )
    return parser


def main() -> int:
    name = make_parser().parse_args().name
    if name is None:
        print(listing())
        return 0
    sys.stdout.flush()
    sys.stdout.buffer.write(path_of(name).read_bytes())
    sys.stdout.flush()
    return 0


def path_of(name: str) -> Path:
    """The file of a cfg."""
    return shipped("cfg") / f"{name}.cfg"


def listing() -> str:
    """A table of all cfgs, with their cost at their own input size."""
    rows = []
    for name in names():
        netdef = read_netdef(path_of(name))
        cost = asdict(network_cost(netdef))
        size = f"{netdef.net.width}x{netdef.net.height}"
        rows.append([name, size, netdef.heads[0].classes, *(cost[column] for column in COLUMNS)])
    return format_table(("cfg", "input", "classes", *COLUMNS), rows)
