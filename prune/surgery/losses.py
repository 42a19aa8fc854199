"""What absorption cannot keep exact: where, and of which channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import Layer

Flags = NDArray[np.bool_]
Place = Literal["read", "written", "end"]


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Channels of one layer for which the pruned network deviates from the original with γ = 0.

    `place`: "read" (channels (I,) of its input), "written" (channels (O,) of its output), or "end": a constant that a
    head or an output of the network no longer gets, channel by channel (its input's, or its output's).
    """

    layer: Layer
    place: Place
    channels: Flags
    what: str

    def __str__(self) -> str:
        return f"layer {self.layer.index} [{self.layer.kind}]: {self.what}; fine-tuning has to recover it"
