"""The arguments of a benchmark, and the runtimes that they choose."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from prune.cli.groups import parse_size
from prune.errors import UsageError
from prune.runtimes.table import RUNTIMES
from prune.runtimes.types import Runtime
from prune.settings import AT_LEAST_ONE, NOT_NEGATIVE, check_options, option

ALL = "all"
logger = logging.getLogger(__name__)


def parse_runtimes(text: str) -> tuple[str, ...]:
    """`torch,opencv` as a tuple, without repetitions."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",")))


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkArgs:
    """What is measured, and how often."""

    runtime: tuple[str, ...] = option(
        (ALL,),
        f"runtimes, separated by commas: {', '.join(RUNTIMES)}; all: those that are installed",
        metavar="NAMES",
        parse=parse_runtimes,
    )
    repeat: int = option(20, "timed runs of each network in each runtime", metavar="N", within=AT_LEAST_ONE)
    warm_up: int = option(3, "runs before them that are not timed", metavar="N", within=NOT_NEGATIVE)
    threads: int = option(1, "threads of each runtime", metavar="N", within=AT_LEAST_ONE)
    img_size: tuple[int, int] | None = option(
        None,
        "network input, N or WxH, multiples of the largest stride (default: the cfg's)",
        metavar="N",
        parse=parse_size,
    )
    batch_size: int = option(1, "images per run", metavar="N", within=AT_LEAST_ONE)

    def __post_init__(self) -> None:
        check_options(self)
        for name in self.runtime:
            if name not in (ALL, *RUNTIMES):
                raise UsageError(f"--runtime {name} must be one of {', '.join(RUNTIMES)}, or all")


def choose_runtimes(names: Sequence[str]) -> list[Runtime]:
    """The runtimes in the order of the table; with `all` those that are installed, the others are logged.

    Raises UsageError where one that was named is not installed.
    """
    wanted = [row for row in RUNTIMES.values() if ALL in names or row.name in names]
    found = []
    for row in wanted:
        missing = row.missing()
        if missing is None:
            found.append(row)
        elif row.name in names:
            raise UsageError(f"--runtime {row.name}: {missing} is not installed; pip install {row.pip}")
        else:
            logger.info("%s is left out: %s is not installed; pip install %s", row.name, missing, row.pip)
    return found
