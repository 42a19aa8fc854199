"""`darknet-prune data NAME …`: make the demo dataset, or download COCO or VOC."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from prune.cli import Parser, require
from prune.cli.program import start_as
from prune.commands.shipped import shipped

EXAMPLE = "darknet-prune data shapes --out shapes --train 400 --valid 120"
SHAPES = "shapes"
SCRIPTS = {"get-coco": "get_coco.sh", "get-voc": "get_voc.sh"}
"""The downloads, as scripts of `data/`."""


def make_parser() -> Parser:
    parser = Parser("Make the demo dataset (shapes), or download COCO 2017 or Pascal VOC.", EXAMPLE)
    about = "shapes (flags: darknet-prune data shapes --help), get-coco (20 GB) or get-voc (2.7 GB)"
    parser.add_argument("dataset", choices=(SHAPES, *SCRIPTS), metavar="NAME", help=about)
    parser.add_argument(
        "--out", type=Path, default=Path("data"), metavar="DIR", help="folder of the dataset (default: data)"
    )
    parser.add_argument("--keep", action="store_true", help="get-coco, get-voc: keep the archives after unpacking")
    return parser


def main() -> int:
    if sys.argv[1:2] == [SHAPES]:
        return make_shapes(sys.argv[2:])
    given = make_parser().parse_args()
    require(given.dataset != SHAPES, f"{SHAPES} must be the first argument, before its flags")
    download(SCRIPTS[given.dataset], given.out, given.keep)


def make_shapes(arguments: Sequence[str]) -> int:
    """The exit code of `data/make_shapes.py` with these arguments."""
    start_as(f"data {SHAPES}", list(arguments))
    sys.path.insert(0, str(shipped("data")))  # it imports its neighbour, as when run as a script
    return int(importlib.import_module("make_shapes").main())


def download(script: str, out: Path, keep: bool) -> NoReturn:
    """Replace this process by bash running that script. Raises UsageError if bash is not installed."""
    bash = shutil.which("bash")
    require(bash is not None, f"{script} is a bash script: install bash")
    assert bash is not None
    arguments = ["bash", str(shipped("data") / script), *(["--keep"] if keep else [])]
    sys.stdout.flush()
    os.execve(bash, arguments, os.environ | {"DATA_OUT": str(out)})
