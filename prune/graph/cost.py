"""What a network costs: parameters as in its weights file, and BFLOPs as Darknet prints them."""

from __future__ import annotations

from dataclasses import dataclass

from prune.darknet.layers import Avgpool, Convolutional, Gate, Layer, Maxpool, Shortcut, Upsample, Yolo
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import Shape, input_shapes, shapes

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
    return [
        LayerCost(shape, _parameters(layer, x), _flops(layer, x, shape))
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
        sum(layer.filters for layer in netdef.convolutions if layer.batch_normalize),
        len(netdef.layers),
    )


def macs(netdef: NetDef, width: int | None = None, height: int | None = None) -> int:
    """Multiply-accumulates of the convolutions for one image: half of what flop counters call FLOPs."""
    costs = layer_costs(netdef, width, height)
    return round(sum(costs[layer.index].flops for layer in netdef.convolutions) / 2)


def _parameters(layer: Layer, x: Shape) -> int:
    if not isinstance(layer, Convolutional):
        return 0
    kernel = layer.filters * (x.channels // layer.groups) * layer.size**2
    return kernel + layer.filters * (4 if layer.batch_normalize else 1)


def _flops(layer: Layer, x: Shape, out: Shape) -> float:
    """Darknet's own count: batch norm and activation are free."""
    pixels = out.height * out.width
    match layer:
        case Convolutional():
            return 2.0 * layer.filters * (x.channels // layer.groups) * layer.size**2 * pixels
        case Maxpool():
            return float(layer.size**2 * out.channels * pixels)
        case Shortcut():
            return float((len(layer.inputs) - 1) * out.channels * pixels)
        case Upsample() | Gate():
            return float(out.channels * pixels)
        case Avgpool():
            return float(x.channels * x.height * x.width)
        case Yolo():
            return 0.0
        case _:
            return 0.0
