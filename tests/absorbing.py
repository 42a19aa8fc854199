"""Making channels of a network really dead, so that the absorption oracle can check them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from prune.darknet.netdef import NetDef
from prune.darknet.records import ConvParams, Weights
from prune.darknet.shapes import input_shapes
from prune.graph.channels import EVERYTHING, trace_groups
from prune.plan.types import PrunePlan, blocks_at, digest
from prune.surgery.apply import Pruned, apply
from tests.cfg_writer import IMAGE_SIZE
from tests.oracle import Array, deviation, forward
from tests.strategies import doubles, pruning_tasks, randoms

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class DeadTask:
    """A network in which everything that the plan cuts is dead; dead: convolution → its dead channels."""

    netdef: NetDef
    weights: Weights
    plan: PrunePlan
    dead: Mapping[int, Flags]

    def pruned(self) -> Pruned:
        """The pruned pair."""
        return apply(self.netdef, self.weights, self.plan)

    def deviation(self, pruned: Pruned, weights: Weights | None = None) -> float:
        """The oracle's deviation: original with dead channels and their borders against the pruned network."""
        image = random_image(side=self.netdef.net.width)
        kinds = {s: pruned.netdef.layers[pruned.index_map[s]].kind for s in self.plan.removed if s in pruned.index_map}
        whole = [shortcut for shortcut, kind in kinds.items() if kind == "convolutional"]
        original = forward(self.netdef, self.weights, image, self.dead, whole)
        return deviation(original, forward(pruned.netdef, weights or pruned.weights, image))


@st.composite
def dead_tasks(draw: st.DrawFn, gates: bool = True) -> DeadTask:
    """A random network with a random plan for channels, blocks or both, and γ = 0 where it cuts."""
    netdef, weights, plan = draw(pruning_tasks(gates))
    return deaden(netdef, weights, plan, draw(randoms))


def deaden(netdef: NetDef, weights: Weights, plan: PrunePlan, random: Random | None = None) -> DeadTask:
    """Sets γ = 0 where the plan cuts, or where a removed block ends; β stays (or is 0 throughout, by chance).

    A cut depthwise channel may keep its γ: its input is dead already. Without batch norm nothing dies by itself.
    """
    graph, chance = trace_groups(netdef, EVERYTHING), random or Random(0)
    kept = graph.kept_ids(plan.keep())
    ends = {index for block in blocks_at(netdef, plan.removed) for index in block.last_convolutions}
    channels = [shape.channels for shape in input_shapes(netdef)]
    zero_beta = random is not None and chance.random() < 0.3
    records, dead = dict(weights.records), dict[int, Flags]()
    new = Weights(weights.header, records)
    for layer in netdef.convolutions:
        flags = ~kept[graph.trace.ids_of(layer.index, layer.filters)]
        if layer.index in ends:
            flags[:] = True
        depthwise = layer.groups == channels[layer.index] > 1
        if layer.batch_normalize or depthwise:
            dead[layer.index] = flags
        mortal = all(netdef.convolution(i).batch_normalize for i in graph.group(layer.index).producers)
        killed_by_input = depthwise and mortal and layer.index not in ends and chance.random() < 0.5
        if layer.batch_normalize and not killed_by_input:
            records[layer.owner] = _dead_record(new.conv(layer.owner), flags, zero_beta)
    return DeadTask(netdef, new, replace(plan, source_digest=digest(netdef, new)), dead)


def _dead_record(record: ConvParams, flags: Flags, zero_beta: bool) -> ConvParams:
    beta = np.where(flags & zero_beta, 0.0, record.bias)
    assert record.gamma is not None
    return replace(record, gamma=doubles(np.where(flags, 0.0, record.gamma)), bias=doubles(beta))


def random_image(seed: int = 0, side: int = IMAGE_SIZE) -> Array:
    """(3, side, side), uniform in [0, 1)."""
    return np.random.default_rng(seed).random((3, side, side))
