"""Measures of a network's size: the rule `share` cuts a given share of one of them, a target leaves a given amount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prune.darknet.shapes import shapes
from prune.graph.blocks import ResidualBlock
from prune.graph.channels import ChannelGraph
from prune.graph.cost import FLOAT_BYTES, HEADER_BYTES, kept_costs

Kept = NDArray[np.bool_]
Blocks = Sequence[ResidualBlock]


class Budget(Protocol):
    """A measure of a network's size, for cuts that have not been carried out."""

    def rates(self, graph: ChannelGraph) -> tuple[NDArray[np.float64], float]:
        """What one weight of each layer's kernel costs (layers,), and what one other float of a layer does."""

    def cost(self, graph: ChannelGraph, kept: Kept, blocks: Blocks = ()) -> float:
        """What remains, in whole units; never more where more is cut. kept (ids,) bool as of `kept_ids`; `blocks` are
        removed."""


@dataclass(frozen=True, slots=True)
class ChannelBudget:
    """Output channels of the convolutions with batch norm."""

    def rates(self, graph: ChannelGraph) -> tuple[NDArray[np.float64], float]:
        """Those of parameters: by this measure all channels would cost the same."""
        return ParameterBudget().rates(graph)

    def cost(self, graph: ChannelGraph, kept: Kept, blocks: Blocks = ()) -> float:
        """The channels that remain."""
        return int((kept & normalised_ids(graph) & ~ids_of_blocks(graph, blocks)).sum())


@dataclass(frozen=True, slots=True)
class ParameterBudget:
    """Floats of the weights file."""

    def rates(self, graph: ChannelGraph) -> tuple[NDArray[np.float64], float]:
        """Each counts as one."""
        return np.ones(len(graph.netdef.layers)), 1.0

    def cost(self, graph: ChannelGraph, kept: Kept, blocks: Blocks = ()) -> float:
        """The parameters that remain, as `network_cost` of the pruned network counts them."""
        return sum(cost.parameters for cost in kept_costs(graph, kept, blocks=blocks))


@dataclass(frozen=True, slots=True)
class ByteBudget:
    """Bytes of the weights file."""

    def rates(self, graph: ChannelGraph) -> tuple[NDArray[np.float64], float]:
        """Each has four bytes."""
        return np.full(len(graph.netdef.layers), float(FLOAT_BYTES)), float(FLOAT_BYTES)

    def cost(self, graph: ChannelGraph, kept: Kept, blocks: Blocks = ()) -> float:
        """The bytes that remain: `weights_bytes` of `network_cost` of the pruned network."""
        return HEADER_BYTES + FLOAT_BYTES * ParameterBudget().cost(graph, kept, blocks)


@dataclass(frozen=True, slots=True)
class OperationBudget:
    """Floating-point operations by Darknet's convention at width × height pixels (default: the cfg's)."""

    width: int | None = None
    height: int | None = None

    def rates(self, graph: ChannelGraph) -> tuple[NDArray[np.float64], float]:
        """A multiplication and an addition at each position of the output; batch norm is not counted."""
        maps = shapes(graph.netdef, self.width, self.height)
        return np.array([2.0 * shape.height * shape.width for shape in maps]), 0.0

    def cost(self, graph: ChannelGraph, kept: Kept, blocks: Blocks = ()) -> float:
        """The operations that remain: 1e9 times the BFLOPs of `network_cost` of the pruned network."""
        return sum(cost.flops for cost in kept_costs(graph, kept, self.width, self.height, blocks))


CHANNELS = ChannelBudget()
BUDGETS: Mapping[str, Budget] = {
    "channels": CHANNELS,
    "parameters": ParameterBudget(),
    "bflops": OperationBudget(),
    "bytes": ByteBudget(),
}


def normalised_ids(graph: ChannelGraph) -> NDArray[np.bool_]:
    """For every channel id whether a convolution with batch norm writes it."""
    found = np.zeros(graph.trace.total, bool)
    for index in graph.cbl:
        found[graph.trace.ids_of(index, graph.netdef.convolution(index).filters)] = True
    return found


def ids_of_blocks(graph: ChannelGraph, blocks: Blocks) -> NDArray[np.bool_]:
    """For every channel id whether a convolution of one of `blocks` writes it."""
    found = np.zeros(graph.trace.total, bool)
    gone = {index for block in blocks for index in block.layers}
    for layer in graph.netdef.convolutions:
        if layer.index in gone:
            found[graph.trace.ids_of(layer.index, layer.filters)] = True
    return found


def all_kept(graph: ChannelGraph) -> Kept:
    """The channel ids (ids,) of a network that nothing is cut from."""
    return np.ones(graph.trace.total, bool)
