"""Single rules of tracing, of constraints and of residual blocks, each on the smallest network that needs it."""

from __future__ import annotations

import numpy as np
import pytest

from prune.darknet.activations import MIXING
from prune.darknet.netdef import parse_netdef
from prune.errors import PlanError
from prune.graph.blocks import find_blocks
from prune.graph.cost import network_cost
from prune.graph.freeze import unread_layers
from prune.graph.parts import combined
from prune.graph.trace import Ids
from tests.small_cfgs import ADD, cbl, graph_of

Parts = tuple[Ids, ...]


def parts(*slots: list[int]) -> Parts:
    return tuple(np.array(part) for part in slots)


def test_the_channels_of_a_run_of_reorg_share_a_slot() -> None:
    """Darknet's old reorg reinterprets runs of stride² neighbours: its outputs mix them."""
    group = graph_of(cbl(8) + "[reorg]\nstride=2\n" + cbl(2)).group(0)
    assert group.members[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("activation", sorted(MIXING))
def test_what_normalises_over_its_channels_is_frozen(activation: str) -> None:
    group = graph_of(cbl(4).replace("leaky", activation) + cbl(2)).group(0)
    assert group.frozen == f"layer 0 divides by a sum over its channels ({activation})"


def test_a_convolution_of_a_single_channel_is_not_depthwise() -> None:
    graph = graph_of(cbl(1) + cbl(4) + cbl(2))
    assert (graph.group(0).producers, graph.group(1).producers) == ((0,), (1,))
    assert graph.group(1).width == 4


@pytest.mark.parametrize("length", [3, 5])
def test_a_mask_of_another_width_than_its_group_is_refused(length: int) -> None:
    with pytest.raises(PlanError, match=f"with {length} channels"):
        graph_of(cbl(4)).kept_ids({1: np.ones(length, bool)})


def test_what_the_first_of_two_layers_with_common_floats_reads_is_frozen_too() -> None:
    graph = graph_of(cbl(4) + cbl(4) + cbl(4, share_index=1) + cbl(2))
    for index in (0, 1, 2):
        assert "layers 1 and 2 use the same floats" in (graph.group(index).frozen or "")
    assert graph.group(3).frozen != graph.group(2).frozen


def test_heads_have_no_consumers_but_are_not_outputs_of_the_network() -> None:
    assert unread_layers(graph_of(cbl(4)).netdef) == []
    assert [layer.index for layer in unread_layers(graph_of(cbl(4) + cbl(4) + "[route]\nlayers=0\n").netdef)] == [1]


FINE, COARSE = parts([0], [1], [2], [3]), parts([0, 1], [2, 3])


@pytest.mark.parametrize("needs", [[(5, FINE), (6, COARSE)], [(6, COARSE), (5, FINE)]])
def test_equal_counts_of_fine_parts_are_equal_counts_of_their_unions_in_either_order(
    needs: list[tuple[int, Parts]],
) -> None:
    found = combined(needs)
    assert found.conflict is None
    assert [[list(part) for part in equal] for equal in found.equal] == [[[0], [1], [2], [3]]]


@pytest.mark.parametrize(
    ("fine", "coarse"),
    [
        (parts([0, 1], [2, 3], [4, 5]), parts([0, 1, 2, 3], [4, 5])),  # of two fine parts, and of one
        (parts([0], [1]), parts([0, 2], [1, 3])),  # of one fine part, and more
    ],
)
def test_unions_of_unequally_many_parts_and_parts_with_more_than_these_are_in_conflict(
    fine: Parts, coarse: Parts
) -> None:
    assert combined([(5, fine), (6, coarse)]).conflict == "layers 5 and 6 need different parts in equal counts"


@pytest.mark.parametrize("unequal", [parts([0, 0, 1], [2, 2, 3]), parts([0, 0, 1], [0, 1, 1]), parts([0, 1], [1, 2])])
def test_parts_that_contain_some_channels_more_often_are_in_conflict(unequal: Parts) -> None:
    assert combined([(5, unequal)]).conflict == "the parts that layer 5 needs in equal counts share channels"


def test_parts_that_contain_all_channels_twice_count_them_once_and_equal_parts_need_nothing() -> None:
    (twice,) = combined([(5, parts([0, 0, 1, 1], [2, 2, 3, 3]))]).equal
    assert [list(part) for part in twice] == [[0, 1], [2, 3]]
    assert combined([(5, parts([0, 1, 1], [1, 0, 1]))]).equal == ()


def test_of_six_inputs_of_a_shortcut_five_can_be_bodies_and_of_seven_one() -> None:
    body = "[route]\nlayers=0\n" + cbl(4)
    layers = cbl(4) + cbl(4) + body * 4
    (block,) = find_blocks(graph_of(layers + ADD + "from=0,1,3,5,7\n").netdef)
    assert (set(block.body_outputs), block.skips) == ({1, 3, 5, 7, 9}, (0,))
    (block,) = find_blocks(graph_of(layers + body + ADD + "from=0,1,3,5,7,9\n").netdef)
    assert (block.body_outputs, set(block.skips)) == ((11,), {0, 1, 3, 5, 7, 9})


def test_a_skip_that_is_a_route_is_the_layer_that_it_repeats() -> None:
    (block,) = find_blocks(graph_of(cbl(4) + cbl(4) + "[route]\nlayers=0\n" + ADD + "from=1\n").netdef)
    assert (block.body, block.body_outputs, block.skips, block.reason) == ((1,), (1,), (2,), None)


def test_the_gate_of_a_body_does_not_keep_it_alive() -> None:
    gate = "[avgpool]\n[convolutional]\nfilters=4\nactivation=logistic\n[scale_channels]\nfrom=-3\n"
    (block,) = find_blocks(graph_of(cbl(4) + cbl(4) + gate + ADD + "from=0\n").netdef)
    assert (block.body, block.last_convolutions) == ((1, 2, 3, 4), (1,))


@pytest.mark.parametrize(
    ("shortcut", "replaced"),
    [
        ("activation=linear\n", False),
        ("activation=leaky\n", True),
        ("activation=linear\nweights_type=per_feature\n", True),
        ("activation=leaky\nweights_type=per_feature\n", True),
    ],
)
def test_a_shortcut_that_does_more_than_add_is_replaced(shortcut: str, replaced: bool) -> None:
    (block,) = find_blocks(graph_of(cbl(4) + cbl(4) + "[shortcut]\nfrom=0\n" + shortcut).netdef)
    assert (block.reason, block.replaced, block.layers) == (None, replaced, (1,) if replaced else (1, 2))


def test_of_several_skips_one_as_wide_as_the_shortcut_is_enough_and_comes_first() -> None:
    (block,) = find_blocks(graph_of(cbl(4) + cbl(2) + cbl(4) + ADD + "from=1,0\n[route]\nlayers=3,1\n").netdef)
    assert (block.body_outputs, block.skips, block.reason, block.replaced) == ((2,), (0, 1), None, False)


def test_a_weighted_shortcut_of_two_skips_is_kept() -> None:
    layers = cbl(4) + cbl(4) + cbl(4) + ADD + "from=1,0\nweights_type=per_feature\n[route]\nlayers=3,1\n"
    (block,) = find_blocks(graph_of(layers).netdef)
    assert (block.body_outputs, len(block.skips)) == ((2,), 2)
    assert "multiplies the skips as well" in (block.reason or "")


def test_common_floats_keep_a_block_only_where_a_layer_outside_uses_them() -> None:
    (inside,) = find_blocks(graph_of(cbl(4) + cbl(4) + cbl(4, share_index=1) + ADD + "from=0\n").netdef)
    assert (inside.body, inside.reason) == ((1, 2), None)
    (outside,) = find_blocks(graph_of(cbl(4) + cbl(4) + ADD + "from=0\n" + cbl(4, share_index=1)).netdef)
    assert "layer 3 uses the floats of its layer 1" in (outside.reason or "")


def test_channels_with_common_floats_count_once() -> None:
    netdef = parse_netdef("[net]\nwidth=8\nheight=8\n" + cbl(3) + cbl(3) + cbl(3, share_index=1))
    assert network_cost(netdef).channels == 6
