"""How many processes load images."""

from __future__ import annotations

import os

MOST = 8
"""More processes than this hardly help one GPU."""


def parse_workers(text: str) -> int | None:
    """A number, or `auto` as None."""
    return None if text == "auto" else int(text)


def choose_workers(asked: int | None, device: str, trainings: int = 1) -> int:
    """`asked`, or if that is None: for a GPU one process per core but one; on the CPU, where the network needs the
    cores itself, none: a thread of this process then loads in advance.

    device: its type, `cpu` or `cuda`. trainings: how many processes train and share the cores. The batches do not
    depend on any of them.
    """
    if asked is not None:
        return asked
    return 0 if device == "cpu" else min(MOST, max(0, usable_cores() // trainings - 1))


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
