"""Single rules of scores, policies and plans, each on a network of a few channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from prune.darknet.netdef import parse_netdef
from prune.darknet.records import Weights
from prune.errors import PlanError
from prune.graph.channels import trace_groups
from prune.graph.scope import Scope
from prune.plan.channel import ChannelPolicy, plan_channels, shares, threshold_of
from prune.plan.layer import LayerPolicy, plan_layers, rank_blocks
from prune.plan.score import gammas, prunable_ids, slot_scores
from prune.plan.types import PrunePlan, digest
from tests.given_gammas import scores_of, with_gammas
from tests.small_cfgs import ADD, HEAD, cbl, graph_of

RUN = "[reorg]\nstride=2\n"
BARE = "[convolutional]\nfilters=3\nactivation=leaky\n"


def cuts(layers: str, gamma: dict[int, list[float]], producer: int, **policy: object) -> list[int]:
    """The slots of the group of a convolution that a policy cuts."""
    graph = graph_of(layers)
    plan = plan_channels(graph, with_gammas(graph, gamma), ChannelPolicy(**policy))  # type: ignore[arg-type]
    return next(mask.cut for mask in plan.masks if mask.group == graph.group(producer).id)


def test_a_run_of_reorg_lives_while_any_of_its_channels_does() -> None:
    assert scores_of(cbl(8) + RUN + cbl(2), {0: [0, 9, 0, 0, 1, 2, 3, 4]}) == [9, 4]


def test_depth_to_space_and_depth_pooling_score_the_largest_of_the_channels_they_join() -> None:
    assert scores_of(cbl(8) + "[reorg]\nstride=2\nreverse=1\n" + cbl(2), {0: [1, 2, 3, 4, 0, 9, 0, 0]}) == [3, 9]
    pool = "[maxpool]\nmaxpool_depth=1\nout_channels=2\nsize=1\nstride=1\n"
    assert scores_of(cbl(5) + pool + cbl(2), {0: [1, 2, 7, 0, 3]}) == [7, 2]


def test_a_member_without_gamma_leaves_the_score_to_the_others() -> None:
    """In a sum, through a depthwise convolution, and through a gate."""
    fresh = "[route]\nlayers=0\n"
    assert scores_of(cbl(2) + BARE + fresh + cbl(3) + ADD + "from=1\n" + cbl(2), {3: [4, 5, 6]}, producer=3) == [
        4,
        5,
        6,
    ]
    bare_depthwise = BARE + "groups=3\n"
    assert scores_of(cbl(3) + bare_depthwise + cbl(2), {0: [1, 2, 3]}) == [1, 2, 3]
    gate = BARE + fresh + cbl(3) + "[sam]\nfrom=1\n"
    assert scores_of(cbl(2) + gate + cbl(2), {3: [4, 5, 6]}, producer=3) == [4, 5, 6]


def test_a_gate_of_one_map_for_all_channels_leaves_their_scores() -> None:
    layers = cbl(3) + cbl(1) + "[scale_channels]\nfrom=0\nscale_wh=1\n" + cbl(2)
    assert scores_of(layers, {0: [0.5, 0, 2], 1: [9]}) == [0.5, 0, 2]


def test_the_image_does_not_count_among_the_channels_that_are_read() -> None:
    """Of an image of one channel only its id, 0, is read without a γ."""
    graph = trace_groups(parse_netdef("[net]\nwidth=16\nheight=16\nchannels=1\n" + cbl(3) + cbl(2) + HEAD))
    scores = slot_scores(graph, gammas(graph, with_gammas(graph, {0: [1, 2, 3]})))
    assert scores[graph.group(0).id].tolist() == [1, 2, 3]


def test_prunable_channels_are_ordered_by_slot_before_layer() -> None:
    graph = graph_of(cbl(2) + cbl(2) + ADD + "from=0\n" + cbl(2))
    assert prunable_ids(graph).tolist() == [3, 5, 4, 6, 7, 8]


@pytest.mark.parametrize(("percent", "cut"), [(0.2, [0, 1]), (0.25, [0, 1]), (0.29, [0, 1]), (0.3, [0, 1, 2])])
def test_a_threshold_counts_whole_gammas_rounded_down(percent: float, cut: list[int]) -> None:
    assert cuts(cbl(8) + cbl(2), {0: list(range(1, 9)), 1: [20, 21]}, 0, percent=percent) == cut


def test_the_threshold_shown_is_the_first_gamma_that_is_kept() -> None:
    graph = graph_of(cbl(8) + cbl(2))
    weights = with_gammas(graph, {0: [8, 1, 7, -2, 6, 3, 5, 4], 1: [9, -10]})
    assert [threshold_of(graph, weights, percent) for percent in (0.0, 0.25, 0.3, 0.999)] == [1.0, 3.0, 4.0, 10.0]


@pytest.mark.parametrize(("percent", "gone"), [(0.5, 2), (0.59, 2), (0.6, 3), (0.61, 3)])
def test_the_share_rule_cuts_whole_channels_rounded_down_and_no_more(percent: float, gone: int) -> None:
    """Five channels with batch norm in all."""
    assert len(cuts(cbl(5), {}, 0, percent=percent, rule="share")) == gone


def test_the_share_is_one_of_all_channels_those_that_are_frozen_too() -> None:
    """Half of eight are four of the six that can be cut."""
    graph = graph_of(cbl(6) + cbl(2) + "[upsample]\nstride=2\n", protect=("upsample",))
    plan = plan_channels(graph, with_gammas(graph, {}), ChannelPolicy(percent=0.5, rule="share"))
    found = shares(graph, plan, 0.5)
    assert (found.asked, found.of_all, found.of_prunable) == (0.5, 4 / 8, 4 / 6)


def test_the_share_rule_does_not_count_channels_without_batch_norm() -> None:
    """Cutting a slot of the sum takes one channel with a γ, not two: of 6 + 2 such channels four must be cut."""
    bare = "[convolutional]\nfilters=6\nactivation=logistic\n"
    layers = cbl(6) + "[avgpool]\n" + bare + "[scale_channels]\nfrom=0\n" + cbl(2)
    gamma = {0: [1.0, 2, 3, 4, 5, 6], 4: [20.0, 21]}
    assert cuts(layers, gamma, 0, percent=0.5, rule="share") == [0, 1, 2, 3]


@pytest.mark.parametrize(("layer_keep", "stay"), [(0.0, 1), (0.2, 1), (0.25, 1), (0.26, 2), (0.51, 3), (1.0, 4)])
def test_the_floor_is_rounded_up_and_at_least_one(layer_keep: float, stay: int) -> None:
    cut = cuts(cbl(4) + cbl(6), {0: [1, 2, 3, 4], 1: [9] * 6}, 0, percent=0.5, layer_keep=layer_keep)
    assert cut == list(range(4 - stay))


def test_the_floor_counts_slots_and_not_the_filters_of_a_depthwise_convolution() -> None:
    layers = cbl(4) + cbl(8, groups=4) + cbl(6)
    gamma = {0: [1.0, 2, 3, 4], 1: [9.0] * 8, 2: [20.0] * 6}
    assert cuts(layers, gamma, 0, percent=0.25, layer_keep=0.25) == [0, 1, 2]


def test_the_defaults_are_those_that_are_documented() -> None:
    policy = ChannelPolicy()
    assert (policy.percent, policy.rule, policy.layer_keep) == (0.8, "threshold", 0.01)
    assert Scope() == Scope("union", ("upsample",), ())
    assert LayerPolicy().shortcuts == 1


def test_a_block_of_several_outputs_scores_their_mean() -> None:
    body = "[route]\nlayers=0\n" + cbl(4)
    graph = graph_of(cbl(4) + cbl(4) + body + ADD + "from=0,1\n" + cbl(4) + ADD + "from=-2\n")
    weights = with_gammas(graph, {1: np.full(4, 1.0), 3: np.full(4, 2.0), 5: np.full(4, 1.75)})
    assert [(entry.block.shortcut, entry.score) for entry in rank_blocks(graph, weights)] == [(4, 1.5), (6, 1.75)]


def test_a_block_without_a_gamma_is_not_ranked() -> None:
    graph = graph_of(cbl(3) + BARE + ADD + "from=0\n" + cbl(3) + ADD + "from=-2\n")
    weights = with_gammas(graph, {})
    assert [entry.block.shortcut for entry in rank_blocks(graph, weights)] == [4]
    assert plan_layers(graph, weights, LayerPolicy()).removed == (4,)


def test_a_plan_that_names_a_block_twice_is_refused() -> None:
    graph = graph_of(cbl(4) + cbl(4) + ADD + "from=0\n")
    weights = with_gammas(graph, {})
    with pytest.raises(PlanError, match="twice"):
        PrunePlan(digest(graph.netdef, weights), (), (2, 2)).validate(graph)


def wide(kernel: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    """The fingerprint of a network whose second convolution has this kernel."""
    graph = graph_of(cbl(64) + cbl(64))
    weights = with_gammas(graph, {})
    records = {**weights.records, 1: replace(weights.conv(1), weight=kernel)}
    return digest(graph.netdef, Weights(weights.header, records))


@pytest.mark.parametrize("place", [0, 2038, 2039, 4077, 4078, 4095])
def test_a_change_at_any_place_of_a_large_kernel_changes_the_fingerprint(place: int) -> None:
    """In the rows that are added up and in the rest; 2 has no bit that 3 has not."""
    kernel = np.full((64, 64, 1, 1), 3.0, np.float32)
    other = kernel.copy()
    other.ravel()[place] = 2.0
    assert wide(kernel) != wide(other)


def test_the_fingerprint_does_not_depend_on_the_order_in_which_records_were_read() -> None:
    graph = graph_of(cbl(4) + cbl(4))
    weights = with_gammas(graph, {})
    backwards = Weights(weights.header, dict(sorted(weights.records.items(), reverse=True)))
    assert digest(graph.netdef, weights) == digest(graph.netdef, backwards)
