"""One row of the zoo's table: the results for one cfg, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from prune.graph.scope import TieMode

PARITY = 1e-4
"""The largest allowed difference of OpenCV's float32 outputs from ours, relative to the largest value of a head."""


@dataclass(slots=True)
class Cut:
    """Channels cut at one percentage under one tie policy, or why not.

    percent and real are shares of all channels with batch norm; equivalence and reread are largest deviations relative
    to the largest value of a head: of the equivalence check, and of a second opinion on the pruned pair.
    """

    percent: float
    tie: TieMode
    real: float = 0.0
    equivalence: float = 0.0
    reread: float = 0.0
    notes: int = 0
    fault: str = ""


@dataclass(slots=True)
class Blocks:
    """Residual blocks: how many there are, how many can be removed, and how many layers were removed with all of
    those."""

    found: int = 0
    removable: int = 0
    layers_removed: int = 0
    equivalence: float = 0.0
    reread: float = 0.0
    fault: str = ""
    kept: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """A cfg. `fault` is the error line where it could not be read; `unread` why the tests' numpy reference was compared
    with instead of OpenCV, `note` how the comparison with OpenCV is limited.

    prunable: the share of the channels with batch norm in groups that can be pruned, by default; unprotected: with
    --protect ''. frozen: reason (with --protect '') → channels. warnings: ignored lines of the cfg. seconds are CPU
    time.
    """

    name: str
    fault: str = ""
    layers: int = 0
    parameters: int = 0
    warnings: int = 0
    round_trip: bool = False
    size: tuple[int, int] = (0, 0)
    parity: float | None = None
    unread: str = ""
    note: str = ""
    prunable: float = 0.0
    unprotected: float = 0.0
    frozen: dict[str, int] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    blocks: Blocks = field(default_factory=Blocks)
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """The error lines of all faults, each once."""
        lines = [self.fault, self.blocks.fault, *(cut.fault for cut in self.cuts)]
        if self.layers and not self.round_trip:
            lines.append("its round trip changes bytes")
        if self.parity is not None and not self.parity <= PARITY:
            lines.append(f"parity {self.parity:.1e}")
        return list(dict.fromkeys(filter(None, lines)))

    @property
    def green(self) -> bool:
        """Whether no check has found a fault."""
        return not self.faults
