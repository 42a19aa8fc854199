"""What an exported file is made from."""

from __future__ import annotations

from dataclasses import dataclass

from prune.darknet.netdef import NetDef
from prune.darknet.records import Weights
from prune.errors import CfgError, UsageError
from prune.export.settings import ExportSettings

MOST_FLOATS = (2**31 - 2**24) // 4
"""A single ONNX file is limited to 2 GiB; this leaves 16 MiB for everything but weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A network, its weights, and what the file is to be like. `size_wh`: of its images in pixels, None: the cfg's;
    `names`: of the classes, where they are known.

    Raises CfgError if the network is too large for a file, UsageError if the settings or names do not fit it.
    """

    netdef: NetDef
    weights: Weights
    settings: ExportSettings
    size_wh: tuple[int, int] | None = None
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        label, heads = self.netdef.label, self.netdef.heads
        if self.weights.floats > MOST_FLOATS:
            size = f"{4 * self.weights.floats / 2**30:.1f} GiB of weights, but one ONNX file takes at most 2 GiB"
            raise CfgError(label, None, f"has {size}; prune the network first")
        if self.settings.decode and not heads:
            raise UsageError(f"--decode: {label} has no detection head; leave it out")
        classes = max((head.classes for head in heads), default=0)
        if self.names is not None and heads and len(self.names) != classes:
            problem = f"{label} has {classes} classes, but there are {len(self.names)} names"
            raise UsageError(f"{problem}; pass those that it was trained for")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its images in pixels."""
        return self.size_wh or (self.netdef.net.width, self.netdef.net.height)
