"""Scores: the largest γ where tensors add, the smallest along a chain."""

from __future__ import annotations

import math

import pytest

from prune.errors import PlanError
from prune.plan.score import block_scores, gammas, prunable_ids
from tests.given_gammas import scores_of, with_gammas
from tests.small_cfgs import ADD, cbl, graph_of


def test_an_untied_channel_scores_its_gamma() -> None:
    assert scores_of(cbl(3) + cbl(2), {0: [1, -2, 0.5]}) == [1, 2, 0.5]


def test_a_shortcut_takes_the_largest_or_the_first() -> None:
    layers, values = cbl(3) + cbl(3) + ADD + "from=-2\n" + cbl(2), {0: [1, 5, 1], 1: [2, 0, 1]}
    assert scores_of(layers, values) == [2, 5, 1]
    layers = cbl(3) + "[route]\nlayers=0\n" + cbl(3) + ADD + "from=0\n" + cbl(2)
    assert scores_of(layers, {0: [1, 5, 1], 2: [2, 0, 1]}, tie="first") == [1, 5, 1]


def test_channels_beyond_the_common_ones_score_for_themselves() -> None:
    layers = cbl(4) + cbl(2) + "[route]\nlayers=0\n" + ADD + "from=1\n" + cbl(2)
    assert scores_of(layers, {0: [1, 1, 3, 4], 1: [7, 0]}) == [7, 1, 3, 4]


def test_a_depthwise_channel_is_dead_where_either_gamma_is() -> None:
    layers = cbl(3) + cbl(6, groups=3) + cbl(2)
    assert scores_of(layers, {0: [1, 2, 3], 1: [9, 0, 9, 1, 0, 0]}) == [1, 2, 0]


def test_a_gate_without_gamma_leaves_the_score_of_its_features() -> None:
    gate = "[avgpool]\n[convolutional]\nfilters=3\nactivation=logistic\n[scale_channels]\nfrom=-3\n"
    assert scores_of(cbl(3) + gate + cbl(2), {0: [1, 2, 3]}) == [1, 2, 3]


def test_after_a_gate_with_a_gamma_the_smaller_counts() -> None:
    layers = cbl(3) + cbl(3) + "[sam]\nfrom=-2\n" + cbl(2)
    assert scores_of(layers, {0: [1, 2, 0], 1: [3, 0, 0]}) == [1, 2, 0]  # the gate itself reads layer 0
    layers = cbl(2) + cbl(3) + "[route]\nlayers=0\n" + cbl(3) + "[sam]\nfrom=1\n" + cbl(2)
    assert scores_of(layers, {1: [1, 2, 3], 3: [3, 0, 9]}, producer=1) == [1, 0, 3]


def test_a_channel_that_is_also_read_before_the_depthwise_is_not_dead() -> None:
    layers = cbl(2) + cbl(2, groups=2) + cbl(2) + "[route]\nlayers=0\n" + cbl(2) + "[route]\nlayers=2,4\n" + cbl(2)
    assert scores_of(layers, {0: [3, 2], 1: [0, 1]}) == [3, 2]


def test_what_a_layer_without_gamma_is_read_for_is_never_dead() -> None:
    bare = "[convolutional]\nfilters=2\nactivation=leaky\n"
    layers = bare + cbl(2, groups=2) + cbl(2) + "[route]\nlayers=0\n" + cbl(2) + "[route]\nlayers=2,4\n" + cbl(2)
    assert scores_of(layers, {1: [0, 1]}) == [math.inf, math.inf]


def test_channels_that_nothing_reads_score_their_own_gamma() -> None:
    layers = cbl(4) + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + cbl(2)
    assert scores_of(layers, {0: [1, 2, 3, 4]}) == [1, 2, 3, 4]


def test_of_tied_channels_that_nothing_reads_the_largest_gamma_counts() -> None:
    layers = cbl(3) + cbl(4) + "[route]\nlayers=0\n" + cbl(4) + ADD + "from=1\n"
    layers += "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + cbl(2)
    assert scores_of(layers, {1: [1, 5, 3, 0], 3: [-4, 2, 0, 6]}, producer=1) == [4, 5, 3, 6]


def test_a_channel_that_nothing_reads_and_that_has_no_gamma_is_never_dead() -> None:
    bare = "[convolutional]\nfilters=4\nactivation=leaky\n"
    layers = cbl(3) + bare + "[route]\nlayers=0\n" + cbl(2) + "[route]\nlayers=1\n" + ADD + "from=3\n"
    layers += "[route]\nlayers=-1\ngroups=2\ngroup_id=0\n" + cbl(2)
    assert scores_of(layers, {3: [2, 1]}, producer=3) == [2, 1, math.inf, math.inf]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_gamma_that_is_not_finite_is_refused_by_layer(value: float) -> None:
    graph = graph_of(cbl(2) + cbl(2))
    with pytest.raises(PlanError, match="layer 1 has a γ that is not finite"):
        gammas(graph, with_gammas(graph, {1: [1, value]}))


def test_prunable_ids_leave_out_what_is_frozen_or_has_no_gamma() -> None:
    graph = graph_of(cbl(3) + cbl(2))
    assert [int(i) for i in prunable_ids(graph)] == [3, 4, 5, 6, 7]


def test_a_block_scores_the_mean_of_what_ends_it() -> None:
    graph = graph_of(cbl(2) + cbl(5) + cbl(2) + ADD + "from=0\n")
    scores = block_scores(graph, with_gammas(graph, {2: [1, -4]}))
    assert scores[2] == 2.5
    assert math.isnan(scores[4])
