"""Budgets: what remains of a network, counted without writing its cfg; and importance as an argument."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from prune.darknet.netdef import NetDef, read_netdef
from prune.darknet.records import Weights
from prune.errors import PlanError
from prune.graph.channels import EVERYTHING, ChannelGraph, trace_groups
from prune.graph.cost import kept_costs, layer_costs, network_cost
from prune.graph.scope import Scope
from prune.plan.budget import BUDGETS, CHANNELS, OperationBudget, ParameterBudget
from prune.plan.channel import ChannelPolicy, choose_channels, plan_channels, shares
from prune.plan.criteria import CRITERIA
from prune.plan.score import gammas
from prune.plan.types import PrunePlan
from prune.surgery.apply import apply
from prune.surgery.rewrite import rewrite
from tests.given_gammas import with_gammas
from tests.shared import REPOSITORY, SHARED, needs_shared
from tests.small_cfgs import cbl, graph_of
from tests.strategies import examples, networks, policies, pruning_tasks, scopes

ZOO = sorted(file.stem for folder in (SHARED / "cfg-zoo", REPOSITORY / "cfg") for file in folder.glob("*.cfg"))


def check_against(graph: ChannelGraph, kept: NDArray[np.bool_], pruned: NetDef) -> None:
    """The costs of what is kept are those of the network that was actually pruned, layer by layer."""
    assert kept_costs(graph, kept) == layer_costs(pruned)
    cost = network_cost(pruned)
    assert ParameterBudget().cost(graph, kept) == cost.parameters
    assert OperationBudget().cost(graph, kept) == pytest.approx(cost.bflops * 1e9, rel=1e-12)
    width, height = 2 * pruned.net.width, 3 * pruned.net.height
    larger = network_cost(pruned, width, height)
    assert OperationBudget(width, height).cost(graph, kept) == pytest.approx(larger.bflops * 1e9, rel=1e-12)
    assert CHANNELS.cost(graph, kept) == sum(layer.filters for layer in pruned.convolutions if layer.batch_normalize)


@given(pruning_tasks())
@examples(60)
def test_budgets_are_the_costs_of_the_network_that_is_actually_pruned(task: tuple[NetDef, Weights, PrunePlan]) -> None:
    netdef, weights, plan = task
    pruned = apply(netdef, weights, replace(plan, removed=()))
    check_against(pruned.masked.graph, pruned.masked.kept, pruned.netdef)


@needs_shared
@pytest.mark.parametrize("name", ZOO)
def test_budgets_hold_for_the_networks_of_the_zoo(name: str) -> None:
    files = (SHARED / "cfg-zoo" / f"{name}.cfg", REPOSITORY / "cfg" / f"{name}.cfg")
    graph = trace_groups(read_netdef(next(file for file in files if file.is_file())), EVERYTHING)
    values = np.random.default_rng(0).random(graph.trace.total)
    masks = choose_channels(graph, values, ChannelPolicy(percent=0.6))
    kept = graph.kept_ids({mask.group: mask.keep for mask in masks})
    assert not kept.all()
    check_against(graph, kept, rewrite(graph, kept, (), "cut.cfg").netdef)


@pytest.mark.parametrize("name", sorted(BUDGETS))
def test_the_budgets_of_uncut_networks_are_their_costs(name: str) -> None:
    graph = graph_of(cbl(8) + cbl(6) + cbl(4))
    cost = network_cost(graph.netdef)
    whole = {
        "channels": cost.channels,
        "parameters": cost.parameters,
        "bflops": cost.bflops * 1e9,
        "bytes": cost.weights_bytes,
    }[name]
    assert BUDGETS[name].cost(graph, np.ones(graph.trace.total, bool)) == pytest.approx(whole, rel=1e-12)


@given(networks(), policies(), scopes(), st.sampled_from(sorted(BUDGETS)), st.floats(0.05, 0.8))
@examples(60)
def test_a_share_of_any_budget_is_met_by_the_smallest_cut_that_reaches_it(
    network: tuple[NetDef, Weights], policy: ChannelPolicy, scope: Scope, name: str, percent: float
) -> None:
    netdef, weights = network
    graph, budget = trace_groups(netdef, scope), BUDGETS[name]
    assume(graph.prunable_layers)
    policy = replace(policy, percent=percent, rule="share")
    whole = budget.cost(graph, np.ones(graph.trace.total, bool))
    values = gammas(graph, weights)

    def left(asked: ChannelPolicy) -> float:
        masks = choose_channels(graph, values, asked, budget)
        return budget.cost(graph, graph.kept_ids({mask.group: mask.keep for mask in masks}))

    least = left(replace(policy, percent=0.9999))
    wanted = whole - math.floor(percent * whole)
    assert left(policy) <= max(wanted, least)
    less = [left(replace(policy, rule="threshold", percent=p)) for p in np.linspace(0, 0.99, 12)]
    assert all(found <= left(policy) for found in less if found <= wanted)


def test_a_budget_of_parameters_stops_when_its_share_is_cut() -> None:
    graph = graph_of(cbl(16) + cbl(16, size=3, pad=1) + cbl(8))
    weights = with_gammas(graph, {0: np.arange(16) + 50.0, 1: np.arange(16) + 1.0, 2: np.arange(8) + 100.0})
    plans = [
        plan_channels(graph, weights, ChannelPolicy(percent=0.3, rule="share", layer_keep=0), budget=budget)
        for budget in (CHANNELS, ParameterBudget())
    ]
    cut = [[len(mask.cut) for mask in plan.masks] for plan in plans]
    assert cut[0] == [0, 12, 0]  # 12 of 40 channels
    assert cut[1] == [0, 6, 0]  # one channel is 16·9 + 4 + 8 parameters, and 0.3 of all 2,694 are 808
    assert network_cost(apply(graph.netdef, weights, plans[1]).netdef).parameters == 2694 - 6 * 156


def test_importance_is_an_argument_and_gamma_its_default() -> None:
    graph = graph_of(cbl(4) + cbl(4))
    weights = with_gammas(graph, {0: [1, 2, 3, 4], 1: [5, 6, 7, 8]})
    policy = ChannelPolicy(percent=0.3)
    by_default = plan_channels(graph, weights, policy)
    by_name = plan_channels(graph, weights, policy, CRITERIA["gamma"])
    turned = plan_channels(graph, weights, policy, lambda g, w: -gammas(g, w))
    assert [mask.cut for mask in by_default.masks] == [mask.cut for mask in by_name.masks] == [[0, 1], []]
    assert [mask.cut for mask in turned.masks] == [[], [2, 3]]
    assert turned.source_digest == by_default.source_digest


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_importance_that_is_not_finite_is_refused(bad: float) -> None:
    graph = graph_of(cbl(4) + cbl(4))
    values = gammas(graph, with_gammas(graph, {}))
    values[graph.trace.ids_of(1, 4)[2]] = bad
    with pytest.raises(PlanError, match="needs a finite importance"):
        choose_channels(graph, values, ChannelPolicy())
    with pytest.raises(PlanError, match="needs a finite importance"):
        choose_channels(graph, np.ones(graph.trace.total - 1), ChannelPolicy())


def test_the_shares_of_a_plan_are_those_of_the_channel_budget() -> None:
    graph = trace_groups(graph_of(cbl(10) + cbl(6)).netdef, EVERYTHING)
    weights = with_gammas(graph, {})
    plan = plan_channels(graph, weights, ChannelPolicy(percent=0.5, rule="share"))
    left = CHANNELS.cost(graph, graph.kept_ids(plan.keep()))
    assert shares(graph, plan, 0.5).of_all == pytest.approx(1 - left / 16)
