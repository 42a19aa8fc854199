"""What a network costs: parameters as in its weights file, and BFLOPs as Darknet prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import Convolutional, Layer, LocalAvgpool, Maxpool, Shortcut
from prune.darknet.layout import shaped_slots
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import Kernel, Shape, input_shapes, kernel_shapes, shapes
from prune.graph.blocks import ResidualBlock
from prune.graph.channels import ChannelGraph
from prune.graph.trace import Ids, is_depthwise

HEADER_BYTES = 20
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer: `parameters` are floats in the weights file, `flops` by Darknet's convention."""

    shape: Shape
    parameters: int
    flops: float


@dataclass(frozen=True, slots=True)
class Cost:
    """A whole network. `channels` sums over convolutions with batch norm; bflops = 1e9 operations."""

    parameters: int
    bflops: float
    weights_bytes: int
    channels: int
    layers: int


def layer_costs(netdef: NetDef, width: int | None = None, height: int | None = None) -> list[LayerCost]:
    """The cost of each layer at width × height pixels (default: the cfg's)."""
    return _costs(netdef, shapes(netdef, width, height), input_shapes(netdef, width, height), kernel_shapes(netdef))


def kept_costs(
    graph: ChannelGraph,
    kept: NDArray[np.bool_],
    width: int | None = None,
    height: int | None = None,
    blocks: Sequence[ResidualBlock] = (),
) -> list[LayerCost]:
    """The cost of each layer once the other channels are cut, as in the pruned cfg, which need not exist.

    kept (ids,) bool as of `ChannelGraph.kept_ids`; width × height pixels (default: the cfg's). `blocks` are removed:
    their layers cost nothing.
    """
    netdef, trace = graph.netdef, graph.trace
    out = _thinned(shapes(netdef, width, height), trace.outputs, kept)
    read = _thinned(input_shapes(netdef, width, height), trace.reads, kept)
    kernels = dict[int, Kernel]()
    for index, (_, _, *size) in kernel_shapes(netdef).items():
        layer, x = netdef.convolution(index), read[index].channels
        groups = x if is_depthwise(layer, len(trace.reads[index])) else layer.groups
        kernels[index] = (out[index].channels, x // groups, size[0], size[1])
    costs = _costs(netdef, out, read, kernels)
    for block in blocks:
        costs[block.shortcut] = _cost_after(block, costs[block.shortcut])
    for index in {index for block in blocks for index in block.layers}:
        costs[index] = replace(costs[index], parameters=0, flops=0.0)
    return costs


def _cost_after(block: ResidualBlock, cost: LayerCost) -> LayerCost:
    """The cost of a block's shortcut without the body: of the additions that are left, or of the depthwise 1×1
    convolution with a bias that replaces it."""
    size = float(prod(cost.shape))
    if block.replaced:
        return replace(cost, parameters=2 * cost.shape.channels, flops=2 * size)
    return replace(cost, parameters=0, flops=(len(block.skips) - 1) * size)


def network_cost(netdef: NetDef, width: int | None = None, height: int | None = None) -> Cost:
    """The cost of the network at width × height pixels (default: the cfg's)."""
    costs = layer_costs(netdef, width, height)
    parameters = sum(cost.parameters for cost in costs)
    return Cost(
        parameters,
        sum(cost.flops for cost in costs) / 1e9,
        HEADER_BYTES + FLOAT_BYTES * parameters,
        sum(layer.filters for layer in netdef.owners if layer.batch_normalize),
        len(netdef.layers),
    )


def _thinned(full: Sequence[Shape], ids: Sequence[Ids], kept: NDArray[np.bool_]) -> list[Shape]:
    """Shapes with only the kept of their channels."""
    return [shape._replace(channels=int(kept[own].sum())) for shape, own in zip(full, ids, strict=True)]


def _costs(
    netdef: NetDef, out: Sequence[Shape], read: Sequence[Shape], kernels: Mapping[int, Kernel]
) -> list[LayerCost]:
    """Of each layer, from the shapes of what it writes and reads, and the kernels by layer index."""
    parameters = {slot.layer.index: slot.floats for slot in shaped_slots(netdef, kernels, read)}
    return [
        LayerCost(shape, parameters.get(layer.index, 0), _flops(layer, kernels.get(layer.index), x, shape))
        for layer, x, shape in zip(netdef.layers, read, out, strict=True)
    ]


def _flops(layer: Layer, kernel: Kernel | None, x: Shape, out: Shape) -> float:
    """Darknet's own count: what is not named here counts as 0, batch norm, activation and upsampling too.

    Connected layers, for which it prints nothing, are counted as the 1×1 convolutions they are equal to.
    """
    pixels = out.height * out.width
    match layer:
        case Convolutional() if kernel:
            return 2.0 * prod(kernel) * pixels
        case Maxpool() | LocalAvgpool():
            return float(layer.size**2 * x.channels * pixels)
        case Shortcut():
            return float((len(layer.inputs) - 1) * prod(out) * (1 if layer.weights == "none" else 2))
        case _:
            return 0.0
