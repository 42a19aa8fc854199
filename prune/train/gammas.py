"""The γ that sparse training acts on, seen as one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Gammas:
    """The γ of some batch norms, layer after layer: N in all.

    slots (N,) int64, from 0: γ of equal slots are pruned together (default: each alone).
    """

    def __init__(self, norms: Sequence[nn.BatchNorm2d], slots: Tensor | None = None) -> None:
        if not norms:
            raise ValueError("no batch norm to sparsify")
        self.parameters = [norm.weight for norm in norms]
        self.widths = [len(parameter) for parameter in self.parameters]
        own = torch.arange(sum(self.widths)) if slots is None else slots
        self.slots = own.to(self.parameters[0].device)

    def values(self) -> Tensor:
        """The γ (N,), a copy."""
        return torch.cat([parameter.detach() for parameter in self.parameters])

    def gradients(self) -> Tensor:
        """Their gradients (N,), 0 where the loss does not reach them; a copy."""
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        return torch.cat(found)

    @torch.no_grad()
    def add_gradient(self, term: Tensor) -> None:
        """Add `term` (N,) to their gradients."""
        for parameter, own in zip(self.parameters, self.split(term), strict=True):
            parameter.grad = own.clone() if parameter.grad is None else parameter.grad.add_(own)

    @torch.no_grad()
    def write(self, values: Tensor) -> None:
        """Set the γ to `values` (N,)."""
        for parameter, own in zip(self.parameters, self.split(values), strict=True):
            parameter.copy_(own)

    def split(self, vector: Tensor) -> list[Tensor]:
        """The parts of a vector (N,) by layer."""
        return list(vector.split(self.widths))  # type: ignore[no-untyped-call]
