"""`Scope`: what decides which channels and blocks can be cut at all, declared once for every command."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from prune.darknet.cfg import shown
from prune.darknet.netdef import MOST_LAYERS, NetDef
from prune.errors import UsageError

TieMode = Literal["union", "first", "freeze"]
TIES: tuple[TieMode, ...] = ("union", "first", "freeze")
PROTECTIONS = ("upsample",)


def parse_kinds(text: str) -> tuple[str, ...]:
    """`a,b` → ("a", "b"); an empty text gives none."""
    return tuple(filter(None, text.split(",")))


def parse_layers(text: str) -> tuple[int, ...]:
    """`3,17-20` → (3, 17, 18, 19, 20), ascending, both ends included; an empty text gives none.

    Raises UsageError for anything else.
    """
    try:
        return tuple(sorted({index for layers in parse_ranges(text) for index in layers}))
    except ValueError as cause:
        raise UsageError(f"--keep-layers {cause}") from cause


def parse_ranges(text: str) -> tuple[range, ...]:
    """`3,17-20` → (range(3, 4), range(17, 21)); an empty text gives none. Raises ValueError for anything else."""
    ranges = list[range]()
    for part in text.split(",") if text else ():
        found = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise ValueError(f"{shown(text)}: give layer indices and ranges, such as 3,17-20")
        if last >= MOST_LAYERS:
            raise ValueError(f"{shown(part)}: a cfg has at most {MOST_LAYERS:,} layers")
        ranges.append(range(first, last + 1))
    return tuple(ranges)


@dataclass(frozen=True, slots=True)
class Scope:
    """What can be cut. Held by the graph and written into the plan, so that neither contradicts the other.

    tie: how the scores of layers that shortcuts tie are combined, one of TIES; `freeze`: they are never cut.
    protect: what is not cut, a subset of PROTECTIONS. keep: layer indices (`[net]` not counted) whose output
    channels are never cut and whose blocks are never removed. Raises UsageError for another tie or protection.
    """

    tie: TieMode = field(
        default="union",
        metadata={
            "help": "layers tied by shortcuts: union: a channel is kept if any member needs it; first: the first "
            "layer decides; freeze: they are not pruned"
        },
    )
    protect: tuple[str, ...] = field(
        default=PROTECTIONS,
        metadata={
            "help": "do not prune what feeds an upsample; '' lifts this",
            "parse": parse_kinds,
            "metavar": "KINDS",
        },
    )
    keep: tuple[int, ...] = field(
        default=(),
        metadata={
            "flag": "--keep-layers",
            "help": "layers that are never pruned, such as 3,17-20 (indices as python -m prune.explain prints them)",
            "parse": parse_layers,
            "metavar": "LAYERS",
        },
    )

    def __post_init__(self) -> None:
        if self.tie not in TIES:
            raise UsageError(f"--tie {self.tie}: choose one of {', '.join(TIES)}")
        if unknown := set(self.protect) - set(PROTECTIONS):
            raise UsageError(f"--protect {','.join(sorted(unknown))}: choose from {', '.join(PROTECTIONS)}, or ''")

    def check(self, netdef: NetDef) -> None:
        """Raises UsageError where the network has no layer of a kept index."""
        last = len(netdef.layers) - 1
        for index in self.keep:
            if not 0 <= index <= last:
                raise UsageError(f"--keep-layers {index}: {netdef.path} has the layers 0 to {last}")

    def kept(self, layers: tuple[int, ...]) -> str | None:
        """Why some layers must be kept: names the first of them in `keep`; None where there is none."""
        found = next((index for index in layers if index in self.keep), None)
        return None if found is None else f"layer {found} is kept (--keep-layers)"
