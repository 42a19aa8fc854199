"""Channel plans: floors, ties, subsets, shares."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prune.darknet.netdef import NetDef
from prune.darknet.records import Weights
from prune.errors import PlanError, UsageError
from prune.graph.channels import EVERYTHING, ChannelGraph, trace_groups
from prune.graph.scope import Scope
from prune.plan.channel import RULES, ChannelPolicy, Rule, plan_channels, shares
from prune.plan.types import PrunePlan
from tests.given_gammas import with_gammas
from tests.small_cfgs import ADD, cbl, graph_of, yolov3
from tests.strategies import examples, networks, policies, scopes

PERCENTS = (0.5, 0.8, 0.93)


def plan_of(network: tuple[NetDef, Weights], policy: ChannelPolicy, scope: Scope) -> tuple[ChannelGraph, PrunePlan]:
    graph = trace_groups(network[0], scope)
    assume(graph.prunable_layers)
    return graph, plan_channels(graph, network[1], policy)


@given(networks(), policies(), scopes())
@examples(80)
def test_a_plan_is_valid_keeps_its_floors_and_is_always_the_same(
    network: tuple[NetDef, Weights], policy: ChannelPolicy, scope: Scope
) -> None:
    graph, plan = plan_of(network, policy, scope)
    plan.validate(graph)
    for mask in plan.masks:
        for slots in graph.groups[mask.group].members.values():
            width = len(np.unique(slots))
            assert len(np.unique(slots[mask.keep[slots]])) >= max(1, np.ceil(policy.layer_keep * width))
    again = plan_channels(graph, network[1], policy)
    assert all(np.array_equal(a.keep, b.keep) for a, b in zip(plan.masks, again.masks, strict=True))


@given(networks(), policies(), scopes(), st.floats(0, 0.999))
@examples(80)
def test_a_higher_percent_keeps_a_subset(
    network: tuple[NetDef, Weights], policy: ChannelPolicy, scope: Scope, other: float
) -> None:
    low, high = sorted((policy.percent, other))
    graph, first = plan_of(network, replace(policy, percent=low), scope)
    second = plan_channels(graph, network[1], replace(policy, percent=high))
    for before, after in zip(first.masks, second.masks, strict=True):
        assert not (after.keep & ~before.keep).any()


@given(networks(), st.sampled_from(RULES), scopes())
@examples(40)
def test_percent_0_cuts_nothing(network: tuple[NetDef, Weights], rule: Rule, scope: Scope) -> None:
    _, plan = plan_of(network, ChannelPolicy(percent=0, rule=rule), scope)
    assert all(mask.keep.all() for mask in plan.masks)


@given(networks(), st.floats(0, 0.999))
@examples(60)
def test_the_share_rule_stops_at_the_first_cut_that_reaches_the_share(
    network: tuple[NetDef, Weights], percent: float
) -> None:
    policy = ChannelPolicy(percent=percent, rule="share", layer_keep=0)
    graph, plan = plan_of(network, policy, EVERYTHING)
    wanted = np.floor(percent * graph.channels(graph.cbl))
    most = shares(graph, plan_channels(graph, network[1], replace(policy, percent=0.999)), 1).of_all
    gone = round(shares(graph, plan, percent).of_all * graph.channels(graph.cbl))
    largest = max(_channels_per_step(graph))
    assert gone >= min(wanted, round(most * graph.channels(graph.cbl)))
    assert gone < wanted + largest or wanted == 0


def _channels_per_step(graph: ChannelGraph) -> list[int]:
    """The channels that are cut together with one slot of each group, all parts of a constraint together."""
    steps = []
    for group in graph.prunable():
        per_slot = sum(np.bincount(slots, minlength=group.width) for slots in group.members.values())
        steps.append(int(np.max(per_slot)) * max((len(parts) for parts in group.equal), default=1))
    return steps


@pytest.mark.parametrize("percent", [-0.1, 1, 1.5, float("nan")])
def test_a_percent_outside_0_to_1_is_refused(percent: float) -> None:
    with pytest.raises(UsageError, match=r"--percent .* \[0, 1\)"):
        ChannelPolicy(percent=percent)


@pytest.mark.parametrize(("option", "value"), [("layer_keep", -1), ("layer_keep", 1.1), ("rule", "median")])
def test_other_options_are_checked_by_name(option: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} {value}"):
        ChannelPolicy(**{option: value})  # type: ignore[arg-type]


def test_where_nothing_can_be_cut_the_plan_says_so() -> None:
    graph = graph_of("")
    with pytest.raises(PlanError, match="no channel can be cut"):
        plan_channels(graph, with_gammas(graph, {}), ChannelPolicy())


def test_equal_gammas_are_cut_in_the_order_of_group_and_slot() -> None:
    graph = graph_of(cbl(4) + cbl(4))
    weights = with_gammas(graph, {0: np.ones(4), 1: np.ones(4)})
    cuts = [plan_channels(graph, weights, ChannelPolicy(percent=p)).masks[0].cut for p in (0.2, 0.3)]
    assert cuts == [[0], [0, 1]]


def test_the_union_keeps_what_any_member_needs_and_first_what_the_first_does() -> None:
    layers = cbl(4) + "[route]\nlayers=0\n" + cbl(4) + ADD + "from=0\n" + cbl(2)
    graphs = [graph_of(layers, "union"), graph_of(layers, "first")]
    weights = with_gammas(graphs[0], {0: [0.01, 0.02, 5, 6], 2: [3, 0.03, 0.04, 4], 4: [9, 9]})
    union, first = (plan_channels(graph, weights, ChannelPolicy(percent=0.45)).masks[0].cut for graph in graphs)
    assert union == [1]
    assert first == [0, 1]


def test_the_floor_holds_for_the_narrower_producer_too() -> None:
    graph = graph_of(cbl(8) + cbl(2) + "[route]\nlayers=0\n" + ADD + "from=1\n" + cbl(2))
    weights = with_gammas(graph, {0: [0, 0, 9, 9, 9, 9, 9, 9], 1: [0.1, 0], 4: [9, 9]})
    mask = plan_channels(graph, weights, ChannelPolicy(percent=0.3, layer_keep=0.5)).masks[0]
    assert mask.cut == [1]


@cache
def unseparated(kind: str) -> tuple[ChannelGraph, Weights]:
    """yolov3 with γ that no training has separated: uniform in [0, 1), or half-normal."""
    graph, rng = trace_groups(yolov3()), np.random.default_rng(0)
    draw = rng.random if kind == "uniform" else rng.standard_normal
    return graph, with_gammas(graph, {i: draw(yolov3().convolution(i).filters) for i in graph.cbl})


@pytest.mark.parametrize("kind", ["uniform", "half-normal"])
@pytest.mark.parametrize(("asked", "real"), [(0.5, 0.27), (0.8, 0.53), (0.93, 0.77)])
def test_the_union_cuts_less_than_asked_of_an_unseparated_yolov3(kind: str, asked: float, real: float) -> None:
    graph, weights = unseparated(kind)
    plan = plan_channels(graph, weights, ChannelPolicy(percent=asked))
    assert shares(graph, plan, asked).of_prunable == pytest.approx(real, abs=0.02)


@pytest.mark.parametrize("asked", PERCENTS)
def test_the_share_rule_cuts_what_was_asked_of_yolov3(asked: float) -> None:
    graph, weights = unseparated("uniform")
    plan = plan_channels(graph, weights, ChannelPolicy(percent=asked, rule="share"))
    gone = shares(graph, plan, asked).of_all * 26_304
    assert np.floor(asked * 26_304) <= round(gone) < np.floor(asked * 26_304) + 9
