"""The arguments that name what detects: a Darknet pair, or an exported file alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prune.cli.groups import require
from prune.runtimes.types import is_exported
from prune.settings import option

Files = tuple[Path | None, Path]
"""Cfg (None for an exported file) and weights."""
CFG = "the network definition (Darknet cfg); an exported .onnx needs none"
WEIGHTS = "its weights (.weights or our .pt), or an exported .onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorArgs:
    """A network: its two files, or its exported file."""

    cfg: Path | None = option(None, CFG, metavar="FILE")
    weights: Path = field(metadata={"help": WEIGHTS, "metavar": "FILE"})

    def __post_init__(self) -> None:
        check_files(self.cfg, self.weights)

    @property
    def files(self) -> Files:
        """Cfg and weights."""
        return self.cfg, self.weights


def check_files(cfg: Path | None, weights: Path) -> None:
    """Raise UsageError if weights come without a cfg, or an exported file with one."""
    if is_exported(weights):
        require(cfg is None, f"{weights} contains its own network: leave --cfg out")
    else:
        require(cfg is not None, f"--cfg FILE is missing: the network of {weights}; only an exported .onnx needs none")


def compared_files(given: Sequence[Path] | None) -> list[Files]:
    """The network of --compare: CFG WEIGHTS or an exported file; none where it was not given. Raises UsageError."""
    if not given:
        return []
    message = "--compare takes two files, CFG WEIGHTS, or one exported .onnx"
    require(len(given) == (1 if is_exported(given[-1]) else 2), message)
    return [(given[0] if len(given) == 2 else None, given[-1])]
