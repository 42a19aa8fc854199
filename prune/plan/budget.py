"""Measures of a network's size: the rule `share` cuts a given share of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prune.graph.channels import ChannelGraph
from prune.graph.cost import kept_costs


class Budget(Protocol):
    """A measure of a network's size, for cuts that have not been carried out."""

    def cost(self, graph: ChannelGraph, kept: NDArray[np.bool_]) -> float:
        """What remains, in whole units; never more where more is cut. kept (ids,) bool as of `kept_ids`."""


@dataclass(frozen=True, slots=True)
class ChannelBudget:
    """Output channels of the convolutions with batch norm."""

    def cost(self, graph: ChannelGraph, kept: NDArray[np.bool_]) -> float:
        """The channels that remain."""
        return int((kept & normalised_ids(graph)).sum())


@dataclass(frozen=True, slots=True)
class ParameterBudget:
    """Floats of the weights file."""

    def cost(self, graph: ChannelGraph, kept: NDArray[np.bool_]) -> float:
        """The parameters that remain, as `network_cost` of the pruned network counts them."""
        return sum(cost.parameters for cost in kept_costs(graph, kept))


@dataclass(frozen=True, slots=True)
class OperationBudget:
    """Floating-point operations by Darknet's convention at width × height pixels (default: the cfg's)."""

    width: int | None = None
    height: int | None = None

    def cost(self, graph: ChannelGraph, kept: NDArray[np.bool_]) -> float:
        """The operations that remain: 1e9 times the BFLOPs of `network_cost` of the pruned network."""
        return sum(cost.flops for cost in kept_costs(graph, kept, self.width, self.height))


CHANNELS = ChannelBudget()
BUDGETS: Mapping[str, Budget] = {"channels": CHANNELS, "parameters": ParameterBudget(), "bflops": OperationBudget()}


def normalised_ids(graph: ChannelGraph) -> NDArray[np.bool_]:
    """For every channel id whether a convolution with batch norm writes it."""
    found = np.zeros(graph.trace.total, bool)
    for index in graph.cbl:
        found[graph.trace.ids_of(index, graph.netdef.convolution(index).filters)] = True
    return found
