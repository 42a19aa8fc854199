"""How this process was started: the same command can be called as `darknet-prune train`, `train.py` or
`python -m prune.explain`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

SUITE = "darknet-prune"
_CHECKOUT = re.compile(r"python (?:-m prune\.(?P<module>\w+)|(?P<script>\w+)\.py)(?= |$)")


def start_as(name: str, arguments: list[str]) -> None:
    """Make this process `darknet-prune NAME ARGUMENTS…` from now on, for argparse too."""
    sys.argv[:] = [f"{SUITE} {name}", *arguments]


def usage_name() -> str:
    """What a user types before the arguments: `darknet-prune train`, `train.py`, `python -m prune.explain`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if not _is_subcommand() and spec is not None and spec.name.startswith("prune."):
        return f"python -m {spec.name}"
    return Path(sys.argv[0]).name


def command_name() -> str:
    """The command as summary.json names it, however it was started: `train.py`."""
    name = Path(sys.argv[0]).name
    return name.removeprefix(f"{SUITE} ").replace("-", "_") + ".py" if _is_subcommand() else name


def fitting(example: str) -> str:
    """An example from the checkout (`python train.py …`), rewritten to the way this process was started."""
    if not _is_subcommand():
        return example
    return _CHECKOUT.sub(lambda match: f"{SUITE} {(match['module'] or match['script']).replace('_', '-')}", example)


def _is_subcommand() -> bool:
    return sys.argv[0].startswith(f"{SUITE} ")
