"""What can be cut at all: declared once, stored in the graph, written into the plan."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.commands.explain import explain
from prune.darknet.netdef import NetDef, parse_netdef
from prune.darknet.records import Weights
from prune.errors import PlanError, UsageError
from prune.graph.blocks import find_blocks
from prune.graph.channels import EVERYTHING, trace_groups
from prune.graph.scope import Scope, parse_layers
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.plan.layer import LayerPolicy, plan_layers, rank_blocks
from prune.plan.types import ChannelMask, PrunePlan, digest, format_plan, parse_plan
from prune.plan.widths import Widths
from prune.surgery.apply import apply
from tests.given_gammas import with_gammas
from tests.small_cfgs import ADD, HEAD, NET, cbl, chain
from tests.strategies import examples, networks, policies

THREE = parse_netdef(NET + cbl(4) + cbl(4) + cbl(4) + HEAD, "three.cfg")
ROUTED = cbl(4) + cbl(4) + "[maxpool]\nsize=2\nstride=2\n" + cbl(4)
BLOCKS = parse_netdef(NET + chain(3) + HEAD, "blocks.cfg")


@pytest.mark.parametrize(
    ("text", "layers"),
    [("", ()), ("3", (3,)), ("3,17-20", (3, 17, 18, 19, 20)), ("7, 2-3,3", (2, 3, 7)), ("5-5", (5,)), ("007", (7,))],
)
def test_layers_are_indices_and_ranges_with_both_ends(text: str, layers: tuple[int, ...]) -> None:
    assert parse_layers(text) == layers


@pytest.mark.parametrize("text", ["a", "3,", ",", "-1", "3-", "5-3", "1.5", "3;4", "³", "9" * 5000])
def test_what_names_no_layers_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--keep-layers .*: give layer indices and ranges, such as 3,17-20$"):
        parse_layers(text)


def test_a_range_that_no_network_has_is_refused_before_it_is_counted() -> None:
    with pytest.raises(UsageError, match="--keep-layers 0-999999999: a cfg has at most 10,000 layers"):
        parse_layers("0-999999999")


@pytest.mark.parametrize("index", [-1, 5, 400])
def test_a_layer_that_the_network_does_not_have_is_refused_with_the_range(index: int) -> None:
    with pytest.raises(UsageError, match=f"^--keep-layers {index}: three.cfg has the layers 0 to 4$"):
        trace_groups(THREE, Scope(keep=(0, index)))


def test_a_kept_layer_is_frozen_and_says_so_alone() -> None:
    graph = trace_groups(THREE, Scope(keep=(1,)))
    assert graph.group(1).frozen == "layer 1 is kept (--keep-layers)"
    assert (graph.prunable_layers, trace_groups(THREE).prunable_layers) == ((0, 2), (0, 1, 2))
    assert "frozen: layer 1 is kept (--keep-layers)" in explain(trace_groups(THREE, Scope(keep=(1,))), Widths())


def test_a_kept_layer_without_channels_of_its_own_keeps_those_it_passes_on() -> None:
    netdef = parse_netdef(NET + ROUTED + HEAD)
    assert trace_groups(netdef).prunable_layers == (0, 1, 3)
    assert trace_groups(netdef, Scope(keep=(2,))).prunable_layers == (0, 3)


def test_what_is_tied_to_a_kept_layer_is_kept_with_it() -> None:
    netdef = parse_netdef(NET + cbl(4) + cbl(4) + ADD + "from=-2\n" + cbl(4) + cbl(4) + HEAD)
    assert trace_groups(netdef, Scope(keep=(0,))).prunable_layers == (3, 4)


def test_keeping_names_its_reason_before_a_protection_that_could_be_lifted() -> None:
    netdef = parse_netdef(NET + cbl(4) + "[upsample]\nstride=2\n" + HEAD)
    assert "protected" in (trace_groups(netdef).group(0).frozen or "")
    assert "--keep-layers" in (trace_groups(netdef, Scope(keep=(0,))).group(0).frozen or "")


@given(networks(), policies(), st.data())
@examples(40)
def test_no_plan_cuts_a_kept_layer_or_removes_its_block(
    network: tuple[NetDef, Weights], policy: ChannelPolicy, data: st.DataObject
) -> None:
    netdef, weights = network
    keep = tuple(data.draw(st.lists(st.integers(0, len(netdef.layers) - 1), max_size=4, unique=True)))
    graph = trace_groups(netdef, replace(EVERYTHING, keep=keep))
    plans = [plan_layers(graph, weights, LayerPolicy(shortcuts=len(rank_blocks(graph, weights))))]
    if graph.prunable_layers:
        plans.append(plan_channels(graph, weights, policy))
    for plan in plans:
        pruned = apply(netdef, weights, plan)
        for index in keep:
            assert pruned.masked.kept[graph.trace.outputs[index]].all()
            assert index in pruned.index_map


@pytest.mark.parametrize(("keep", "stays"), [((), ()), ((4,), (6,)), ((6,), (6,)), ((0,), ()), ((2, 8), (3, 9))])
def test_a_block_is_kept_where_its_body_or_its_shortcut_is_kept(keep: tuple[int, ...], stays: tuple[int, ...]) -> None:
    found = find_blocks(BLOCKS, Scope(keep=keep))
    assert tuple(block.shortcut for block in found if block.reason is not None) == stays
    assert all("is kept (--keep-layers)" in block.reason for block in found if block.reason is not None)


def test_too_many_shortcuts_name_the_kept_layers_as_a_cause() -> None:
    graph = trace_groups(BLOCKS, Scope(keep=(4,)))
    weights = with_gammas(graph, {})
    assert [entry.block.shortcut for entry in rank_blocks(graph, weights)] == [3, 9]
    with pytest.raises(UsageError, match="has 2 removable residual blocks with these --keep-layers"):
        plan_layers(graph, weights, LayerPolicy(shortcuts=3))


def test_a_plan_records_the_scope_of_its_graph_and_keeps_it_when_stored() -> None:
    scope = Scope("freeze", (), (1,))
    graph = trace_groups(THREE, scope)
    plan = plan_channels(graph, with_gammas(graph, {}), ChannelPolicy(percent=0.5))
    document = json.loads(format_plan(plan, graph))
    assert document["scope"] == {"tie": "freeze", "protect": [], "keep": [1]}
    assert document["policy"]["tie"] == "freeze"
    assert parse_plan(format_plan(plan, graph)).scope == scope


def test_a_plan_without_a_scope_is_read_and_replayed_as_before() -> None:
    graph = trace_groups(THREE)
    weights = with_gammas(graph, {})
    plan = plan_channels(graph, weights, ChannelPolicy(percent=0.5))
    document = json.loads(format_plan(plan, graph))
    del document["scope"]
    old = parse_plan(json.dumps(document))
    assert old.scope is None
    assert "scope" not in json.loads(format_plan(old, graph))
    first, second = apply(THREE, weights, plan), apply(THREE, weights, old)
    assert first.netdef == second.netdef
    for index, record in first.weights.records.items():
        pairs = zip(record.arrays(), second.weights.records[index].arrays(), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)


def test_a_plan_that_cuts_what_its_own_scope_keeps_is_refused() -> None:
    graph = trace_groups(THREE)
    weights, half = with_gammas(graph, {}), np.array([True, True, False, False])
    source, mask = digest(THREE, weights), ChannelMask(graph.group(1).id, half)
    apply(THREE, weights, PrunePlan(source, (mask,), scope=Scope()))
    with pytest.raises(PlanError, match=r"is frozen: layer 1 is kept \(--keep-layers\)"):
        apply(THREE, weights, PrunePlan(source, (mask,), scope=Scope(keep=(1,))))
    weights = with_gammas(trace_groups(BLOCKS), {})
    with pytest.raises(PlanError, match=r"the block at shortcut 6 cannot be removed: layer 4 is kept"):
        apply(BLOCKS, weights, PrunePlan(digest(BLOCKS, weights), (), (6,), scope=Scope(keep=(4,))))


@pytest.mark.parametrize(
    ("scope", "what"),
    [
        (3, "an object with 'tie' is needed"),
        ({"tie": "both", "protect": [], "keep": []}, "'tie' must be one of union, first, freeze, not 'both'"),
        ({"tie": "union", "protect": ["route"], "keep": []}, "'protect' must be one of upsample, not 'route'"),
        ({"tie": "union", "protect": "upsample", "keep": []}, "'protect' must be a list"),
        ({"tie": "union", "protect": [], "keep": [-1]}, "'keep' must be a whole number from 0"),
        ({"tie": "union", "protect": [], "keep": [2, 2]}, "'keep' contains a duplicate number"),
        ({"tie": "union", "protect": []}, "'keep' is missing"),
    ],
)
def test_a_stored_scope_that_is_not_one_is_one_line(scope: object, what: str) -> None:
    graph = trace_groups(THREE)
    plan = PrunePlan(digest(THREE, with_gammas(graph, {})))
    text = json.dumps({**json.loads(format_plan(plan, graph)), "scope": scope})
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "plan.json")
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)
