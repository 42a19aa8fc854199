"""The criteria by name: every row is tried, and has an example worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from prune.darknet.records import ConvParams, Weights
from prune.darknet.weights import random_weights
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.plan.criteria import CRITERIA
from prune.plan.score import prunable_ids
from tests.small_cfgs import ADD, cbl, graph_of

EXAMPLES = {"gamma": [3.0, 2.0]}
"""The scores of two channels, γ -3 and 2, whose kernels over three input channels are (3, 4, 0) and (0, 0, 2)."""


def test_every_criterion_has_an_example() -> None:
    assert EXAMPLES.keys() == CRITERIA.keys()


@pytest.mark.parametrize("name", CRITERIA)
def test_a_criterion_scores_its_example_as_computed_by_hand(name: str) -> None:
    graph = graph_of(cbl(2) + cbl(1))
    drawn = random_weights(graph.netdef, np.random.default_rng(0))
    kernel = np.array([[3, 4, 0], [0, 0, 2]], np.float32).reshape(2, 3, 1, 1)
    ones = np.ones(2, np.float32)
    record = ConvParams(kernel, ones, np.array([-3, 2], np.float32), ones, ones)
    scores = CRITERIA[name](graph, Weights(drawn.header, {**drawn.records, 0: record}))
    assert scores[graph.trace.ids_of(0, 2)].tolist() == pytest.approx(EXAMPLES[name])


@pytest.mark.parametrize("name", CRITERIA)
def test_a_criterion_scores_every_channel_that_can_be_pruned_and_plans_with_it(name: str) -> None:
    graph = graph_of(cbl(4) + cbl(4) + ADD + "from=-2\n" + cbl(6) + cbl(1))
    weights = random_weights(graph.netdef, np.random.default_rng(0))
    scores = CRITERIA[name](graph, weights)
    assert scores.shape == (graph.trace.total,)
    assert np.isfinite(scores[prunable_ids(graph)]).all()
    plan = plan_channels(graph, weights, ChannelPolicy(percent=0.5), CRITERIA[name])
    assert 0 < sum(len(mask.cut) for mask in plan.masks) < sum(len(mask.keep) for mask in plan.masks)
