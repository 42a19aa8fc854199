"""What a network costs: parameters as in its weights file, and BFLOPs as Darknet prints them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from prune.darknet.layers import Convolutional, Layer, LocalAvgpool, Maxpool, Shortcut
from prune.darknet.layout import slots
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import Kernel, Shape, input_shapes, kernel_shapes, shapes

_HEADER_BYTES = 20
_FLOAT_BYTES = 4


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
    out, read = shapes(netdef, width, height), input_shapes(netdef, width, height)
    kernels, parameters = kernel_shapes(netdef), {slot.layer.index: slot.floats for slot in slots(netdef)}
    return [
        LayerCost(shape, parameters.get(layer.index, 0), _flops(layer, kernels.get(layer.index), x, shape))
        for layer, x, shape in zip(netdef.layers, read, out, strict=True)
    ]


def network_cost(netdef: NetDef, width: int | None = None, height: int | None = None) -> Cost:
    """The cost of the network at width × height pixels (default: the cfg's)."""
    costs = layer_costs(netdef, width, height)
    parameters = sum(cost.parameters for cost in costs)
    return Cost(
        parameters,
        sum(cost.flops for cost in costs) / 1e9,
        _HEADER_BYTES + _FLOAT_BYTES * parameters,
        sum(layer.filters for layer in netdef.owners if layer.batch_normalize),
        len(netdef.layers),
    )


def macs(netdef: NetDef, width: int | None = None, height: int | None = None) -> int:
    """Multiply-accumulates of the convolutions for one image: half of what flop counters call FLOPs."""
    costs = layer_costs(netdef, width, height)
    return round(sum(costs[layer.index].flops for layer in netdef.convolutions) / 2)


def _flops(layer: Layer, kernel: Kernel | None, x: Shape, out: Shape) -> float:
    """Darknet's own count: what is not named here is free to it, batch norm, activation and upsampling too.

    Connected layers, for which it prints nothing, are counted as the 1×1 convolutions that they equal.
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
