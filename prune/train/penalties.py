"""What pulls γ towards 0 in sparse training, by name: a new penalty is a file with a class like L1, and a row.

No torch here, nor where these classes are defined: commands make flags from them before torch is imported. Their
fields must have different names, since each becomes a flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from prune.train.l1 import L1

if TYPE_CHECKING:
    from torch import Tensor


class Penalty(Protocol):
    """A function of γ to be made small; a frozen dataclass of its own settings. `gamma`, `s`, `step`: (C,), of a layer.

    `constant_pull`: whether it pulls by s whatever the size of γ, so that the reach of s is known before a run.
    """

    constant_pull: ClassVar[bool]

    def gradient(self, gamma: Tensor, s: Tensor) -> Tensor:
        """Its gradient at strength `s`, (C,); where the optimiser is SGD it joins that of the loss."""
        ...

    def shrunk(self, gamma: Tensor, step: Tensor) -> Tensor:
        """Its proximal operator for `step` = lr · s, (C,): what γ becomes after a step of another optimiser."""
        ...


PENALTIES: dict[str, type[Penalty]] = {"l1": L1}
