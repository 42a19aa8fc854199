"""Distillation strategies by name: a new one is a file with a class like these, and a row.

Neither this module nor those of the classes import torch: commands make flags from them before torch is imported.
Their fields must have different names, since each becomes a flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from prune.darknet.layers import Head
from prune.train.soft_target import SoftTarget
from prune.train.task import Task

if TYPE_CHECKING:
    from torch import Tensor

    from prune.train.hooks import Batch


class Strategy(Protocol):
    """What a student learns from its teacher's outputs; a frozen dataclass of its settings."""

    def loss(self, student: list[Tensor], teacher: list[Tensor], heads: Sequence[Head], batch: Batch) -> Tensor:
        """The raw inputs of both networks' heads, (B, A*(entries + C), H, W) each → (), a mean per image or object."""
        ...


STRATEGIES: dict[str, type[Strategy]] = {"soft-target": SoftTarget, "task": Task}
