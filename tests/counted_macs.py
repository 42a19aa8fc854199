"""What flop counters count, for comparison with them."""

from __future__ import annotations

from prune.darknet.netdef import NetDef
from prune.graph.cost import layer_costs


def macs(netdef: NetDef, width: int | None = None, height: int | None = None) -> int:
    """Multiply-accumulates of the convolutions for one image: half of what flop counters call FLOPs."""
    costs = layer_costs(netdef, width, height)
    return round(sum(costs[layer.index].flops for layer in netdef.convolutions) / 2)
