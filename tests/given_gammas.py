"""Networks with given γ, and how their channels score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from prune.darknet.records import Weights
from prune.graph.channels import ChannelGraph
from prune.graph.scope import TieMode
from prune.plan.score import gammas, slot_scores
from tests.small_cfgs import graph_of
from tests.strategies import tame_weights


def with_gammas(graph: ChannelGraph, values: Mapping[int, ArrayLike]) -> Weights:
    """Tame weights with the given γ at some layers."""
    weights = tame_weights(graph.netdef, 0)
    records = dict(weights.records)
    for index, gamma in values.items():
        records[index] = replace(weights.conv(index), gamma=np.array(gamma, np.float32))
    return Weights(weights.header, records)


def scores_of(layers: str, values: Mapping[int, ArrayLike], producer: int = 0, tie: TieMode = "union") -> list[float]:
    graph = graph_of(layers, tie)
    found = slot_scores(graph, gammas(graph, with_gammas(graph, values)))
    return [round(float(score), 6) for score in found[graph.group(producer).id]]
