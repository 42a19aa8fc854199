"""The widths that layers can keep: multiples, floors and bounds, over tied layers and equal parts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prune.darknet.netdef import NetDef
from prune.darknet.records import Weights
from prune.errors import PlanError
from prune.graph.channels import ChannelGraph, trace_groups
from prune.graph.scope import Scope
from prune.plan.bounds import Bound
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.plan.types import PrunePlan
from prune.plan.widths import Widths
from prune.surgery.apply import apply
from tests.given_gammas import with_gammas
from tests.small_cfgs import cbl, graph_of
from tests.strategies import examples, networks, policies, scopes


def kept_counts(graph: ChannelGraph, plan: PrunePlan) -> dict[int, int]:
    """The channels that are left of each layer that can be pruned."""
    kept = graph.kept_ids(plan.keep())
    return {index: int(kept[graph.trace.outputs[index]].sum()) for index in graph.prunable_layers}


@given(networks(), policies(), scopes(), st.integers(2, 9))
@examples(80)
def test_all_widths_are_multiples_or_whole_and_nothing_more_is_cut_than_without(
    network: tuple[NetDef, Weights], policy: ChannelPolicy, scope: Scope, multiple: int
) -> None:
    graph = trace_groups(network[0], scope)
    assume(graph.prunable_layers)
    exact = plan_channels(graph, network[1], policy)
    widths = Widths(layer_keep=policy.layer_keep, multiple_of=multiple)
    plan = plan_channels(graph, network[1], policy, widths=widths)
    plan.validate(graph)
    for mask, before in zip(plan.masks, exact.masks, strict=True):
        assert (mask.keep >= before.keep).all()
        for part in graph.groups[mask.group].parts:
            count = int(mask.keep[part].sum())
            assert count % multiple == 0 or count == len(part)
    pruned = apply(*network, plan)
    for index, count in kept_counts(graph, plan).items():
        assert pruned.netdef.convolution(pruned.index_map[index]).filters == count
    assert plan.policy["multiple_of"] == multiple


@given(networks(), policies(), scopes(), st.data())
@examples(80)
def test_bounds_are_kept_from_both_sides(
    network: tuple[NetDef, Weights], policy: ChannelPolicy, scope: Scope, data: st.DataObject
) -> None:
    graph = trace_groups(network[0], scope)
    assume(graph.prunable_layers)
    index = data.draw(st.sampled_from(graph.prunable_layers))
    low, high = sorted(data.draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    bounds = {index: Bound(low, high)}
    widths = Widths(layer_keep=policy.layer_keep, bounds=bounds)
    slots = graph.group(index).members[index]
    least, most = bounds[index].counts(len(np.unique(slots)))
    assume(len(graph.group(index).parts) == 1 or not contradicts(graph, network[1], policy, widths))
    plan = plan_channels(graph, network[1], policy, widths=widths)
    plan.validate(graph)
    keep = plan.keep()[graph.group(index).id]
    assert least <= len(np.unique(slots[keep[slots]])) <= most
    others = plan_channels(graph, network[1], policy, widths=replace(widths, bounds={}))
    changed = [a.group for a, b in zip(plan.masks, others.masks, strict=True) if (a.keep != b.keep).any()]
    if policy.rule == "threshold":  # a share is one of the whole network: a bound of one layer moves all others
        assert changed in ([], [graph.group(index).id])


def contradicts(graph: ChannelGraph, weights: Weights, policy: ChannelPolicy, widths: Widths) -> bool:
    """Whether the floors or equal counts of tied layers leave a bound no count."""
    try:
        plan_channels(graph, weights, policy, widths=widths)
    except PlanError:
        return True
    return False


def counts_of(layers: str, widths: Widths, percent: float = 0.5, seed: int = 0) -> list[int]:
    """What rule `threshold` keeps of the layers with a γ, drawn by chance."""
    graph = graph_of(layers)
    rng = np.random.default_rng(seed)
    weights = with_gammas(graph, {i: rng.random(graph.netdef.convolution(i).filters) for i in graph.cbl})
    plan = plan_channels(graph, weights, ChannelPolicy(percent=percent), widths=widths)
    return list(kept_counts(graph, plan).values())


def test_widths_are_rounded_up_and_what_is_narrower_or_no_multiple_stays_whole() -> None:
    layers = cbl(32) + cbl(6) + cbl(20)
    exact = counts_of(layers, Widths(), 0.6)
    rounded = counts_of(layers, Widths(multiple_of=8), 0.6)
    assert exact[1] < 6
    assert rounded == [8 * math.ceil(exact[0] / 8), 6, min(20, 8 * math.ceil(exact[2] / 8))]
    assert counts_of(layers, Widths(multiple_of=8), 0.1) == [32, 6, 20]


def test_a_bound_forces_a_cut_keeps_the_best_and_lifts_a_floor() -> None:
    graph = graph_of(cbl(8) + cbl(8))
    weights = with_gammas(graph, {0: [1, 2, 3, 4, 5, 6, 7, 8], 1: np.arange(8) + 50})
    widths = Widths(layer_keep=0.9, bounds={0: Bound(0, 0.25), 1: Bound(1, 1)})
    masks = plan_channels(graph, weights, ChannelPolicy(percent=0), widths=widths).masks
    assert [mask.cut for mask in masks] == [[0, 1, 2, 3, 4, 5], []]


def test_equal_bounds_are_a_fixed_share_at_any_percent() -> None:
    widths = Widths(bounds={0: Bound(0.5, 0.5)})
    for percent in (0.0, 0.4, 0.9):
        assert counts_of(cbl(16) + cbl(16), widths, percent)[0] == 8
    assert Bound(0.3, 0.3).counts(10) == (3, 3)
    assert Bound(0.5, 0.5).counts(5) == (3, 3)
    assert Bound(0, 0).counts(5) == (1, 1)


def test_a_bound_that_leaves_no_multiple_is_refused_by_name() -> None:
    with pytest.raises(PlanError, match=r"layer 0: its line in --bounds and --multiple-of 8 contradict"):
        counts_of(cbl(16) + cbl(16), Widths(multiple_of=8, bounds={0: Bound(0.1, 0.4)}))


def test_each_part_that_a_group_needs_in_equal_counts_is_a_multiple() -> None:
    layers = cbl(16) + cbl(16, groups=2) + cbl(8)
    graph = graph_of(layers)
    weights = with_gammas(graph, {0: np.arange(16), 1: np.arange(16) + 3, 2: np.arange(8) + 90})
    plan = plan_channels(graph, weights, ChannelPolicy(percent=0.7), widths=Widths(multiple_of=4))
    for mask in plan.masks:
        assert all(int(mask.keep[part].sum()) % 4 == 0 for part in graph.groups[mask.group].parts)
    assert sum(len(mask.cut) for mask in plan.masks) == 16
