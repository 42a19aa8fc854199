"""Cfg texts of a few layers, written by hand, and their channel graphs."""

from __future__ import annotations

from functools import cache

from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.graph.channels import ChannelGraph, trace_groups
from prune.graph.scope import Scope, TieMode
from tests.shared import REPOSITORY

NET = "[net]\nwidth=16\nheight=16\n"


def cbl(filters: int, **options: object) -> str:
    lines = "".join(f"{key}={value}\n" for key, value in options.items())
    return f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nactivation=leaky\n{lines}"


HEAD = "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nanchors=1,2\nclasses=1\n"


def graph_of(layers: str, tie: TieMode = "union", protect: tuple[str, ...] = ()) -> ChannelGraph:
    return trace_groups(parse_netdef(NET + layers + HEAD), Scope(tie, protect))


@cache
def yolov3() -> NetDef:
    return read_netdef(REPOSITORY / "cfg" / "yolov3.cfg")


ADD = "[shortcut]\nactivation=linear\n"


def chain(blocks: int) -> str:
    """A stem and some residual blocks of two layers; layer 3·b + 2 is the last of block b."""
    return cbl(4) + (cbl(2) + cbl(4) + ADD + "from=-3\n") * blocks
