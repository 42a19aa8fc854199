"""Networks with dead channels, written by hand: what absorption is tested on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from prune.darknet.netdef import parse_netdef
from prune.darknet.records import Weights
from prune.graph.channels import EVERYTHING, trace_groups
from prune.plan.types import ChannelMask, PrunePlan, digest
from tests.absorbing import DeadTask, deaden
from tests.small_cfgs import ADD, HEAD, NET, cbl
from tests.strategies import tame_weights

EXACT = 1e-9
GATE = "[avgpool]\n[convolutional]\nfilters=4\nactivation=logistic\n[scale_channels]\nfrom=-3\n"


def task_of(layers: str, cut: dict[int, list[int]], removed: tuple[int, ...] = (), seed: int = 0) -> DeadTask:
    """A task by hand; cut: convolution → slots of its group."""
    netdef = parse_netdef(NET + layers + HEAD)
    graph, weights, masks = trace_groups(netdef, EVERYTHING), tame_weights(netdef, seed), []
    for producer, slots in cut.items():
        keep = np.ones(graph.group(producer).width, bool)
        keep[slots] = False
        masks.append(ChannelMask(graph.group(producer).id, keep))
    return deaden(netdef, weights, PrunePlan(digest(netdef, weights), tuple(masks), removed))


BLOCK = cbl(3, size=3, pad=1) + cbl(4, size=3, pad=1) + ADD
WIDE = cbl(4, size=3, pad=1)
AGAIN = "[route]\nlayers=0\n"


def plan_again(task: DeadTask, weights: Weights) -> PrunePlan:
    return replace(task.plan, source_digest=digest(task.netdef, weights))
