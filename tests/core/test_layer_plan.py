"""Layer plans: the blocks with the smallest mean |γ| before their shortcut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from prune.darknet.netdef import NetDef
from prune.darknet.records import Weights
from prune.errors import PlanError, UsageError
from prune.graph.blocks import find_blocks
from prune.graph.channels import trace_groups
from prune.plan.layer import LayerPolicy, plan_layers, rank_blocks
from prune.plan.types import PrunePlan, blocks_at, digest
from prune.surgery.apply import apply
from tests.given_gammas import with_gammas
from tests.small_cfgs import ADD, cbl, chain, graph_of, yolov3
from tests.strategies import examples, networks


def test_the_blocks_of_least_mean_gamma_are_removed_first() -> None:
    graph = graph_of(chain(3))
    weights = with_gammas(graph, {2: [3, 3, 3, 3], 5: [-1, 1, 1, 1], 8: [9, -0.1, 0.1, 0.1], 1: [0, 0]})
    assert [entry.block.shortcut for entry in rank_blocks(graph, weights)] == [6, 9, 3]
    assert [round(entry.score, 3) for entry in rank_blocks(graph, weights)] == [1.0, 2.325, 3.0]
    assert plan_layers(graph, weights, LayerPolicy(shortcuts=2)).removed == (6, 9)


def test_equal_scores_are_removed_in_the_order_of_the_cfg() -> None:
    graph = graph_of(chain(3))
    weights = with_gammas(graph, {index: np.ones(4) for index in (2, 5, 8)})
    assert plan_layers(graph, weights, LayerPolicy(shortcuts=1)).removed == (3,)


def test_more_shortcuts_than_there_are_are_refused_with_the_count() -> None:
    graph = graph_of(chain(2))
    with pytest.raises(UsageError, match=r"--shortcuts 3: .* has 2 removable"):
        plan_layers(graph, with_gammas(graph, {}), LayerPolicy(shortcuts=3))
    with pytest.raises(UsageError, match="--shortcuts -1"):
        LayerPolicy(shortcuts=-1)


def test_no_shortcuts_make_an_empty_plan() -> None:
    graph = graph_of(chain(2))
    assert plan_layers(graph, with_gammas(graph, {}), LayerPolicy(shortcuts=0)).removed == ()


def test_all_23_blocks_of_yolov3_are_69_layers() -> None:
    graph = trace_groups(yolov3())
    weights = with_gammas(graph, {})
    plan = plan_layers(graph, weights, LayerPolicy(shortcuts=23))
    pruned = apply(yolov3(), weights, plan)
    assert len(pruned.netdef.layers) == 107 - 69
    assert not any(layer.kind == "shortcut" for layer in pruned.netdef.layers)


def test_what_is_not_a_block_or_cannot_be_removed_is_refused() -> None:
    graph = graph_of(cbl(4) + cbl(6) + ADD + "from=-2\n")
    weights = with_gammas(graph, {})
    for shortcut, what in (
        (1, "no residual block ends"),
        (2, "cannot be removed: the skip"),
        (99, "no residual block"),
    ):
        with pytest.raises(PlanError, match=what):
            PrunePlan(digest(graph.netdef, weights), (), (shortcut,)).validate(graph)


@given(networks())
@examples(40)
def test_every_ranked_block_can_be_removed(network: tuple[NetDef, Weights]) -> None:
    graph = trace_groups(network[0])
    ranked = rank_blocks(graph, network[1])
    assert [entry.score for entry in ranked] == sorted(entry.score for entry in ranked)
    plan = plan_layers(graph, network[1], LayerPolicy(shortcuts=len(ranked)))
    gone = {i for block in blocks_at(network[0], plan.removed) for i in block.layers}
    pruned = apply(*network, plan)
    assert set(pruned.index_map) == {layer.index for layer in network[0].layers} - gone
    replaced = {block.shortcut for block in blocks_at(network[0], plan.removed) if block.replaced}
    left = {layer.index for layer in network[0].layers if layer.kind == "shortcut"} - gone
    kinds = {index: pruned.netdef.layers[pruned.index_map[index]].kind for index in left}
    assert kinds == {index: "convolutional" if index in replaced else "shortcut" for index in left}
    assert len(find_blocks(pruned.netdef)) <= len(find_blocks(network[0]))
