"""Targets: met from below on the plan alone, as the network that is really pruned confirms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prune.cli.targets import TargetArgs, format_reach
from prune.darknet.netdef import NetDef, parse_netdef
from prune.darknet.records import Header, Weights
from prune.errors import TargetError
from prune.graph.blocks import removable_blocks
from prune.graph.channels import ChannelGraph, trace_groups
from prune.graph.cost import kept_costs, network_cost
from prune.graph.scope import Scope
from prune.plan.amount import Amount, parse_amount
from prune.plan.budget import ParameterBudget
from prune.plan.fit import (
    block_reach,
    channel_reach,
    extremes,
    fit_channels,
    plan_blocks_to_targets,
    plan_to_targets,
)
from prune.plan.layer import rank_blocks
from prune.plan.ranked import Masks, Ranked, rank_channels
from prune.plan.score import gammas
from prune.plan.target import MEASURES, TOLERANCE, Left, Targets, settle_targets
from prune.plan.types import PrunePlan, blocks_at, digest
from prune.plan.widths import Widths
from prune.surgery.apply import apply
from tests.given_gammas import with_gammas
from tests.small_cfgs import NET, cbl, chain, graph_of
from tests.strategies import examples, networks, pruning_tasks, scopes

SOME = st.lists(st.sampled_from(sorted(MEASURES)), min_size=1, max_size=3, unique=True)
WIDTHS = st.builds(Widths, layer_keep=st.sampled_from([0.0, 0.01, 0.3]), multiple_of=st.sampled_from([1, 1, 2, 3, 4]))


def costs_of(netdef: NetDef) -> dict[str, float]:
    """What a network costs by `network_cost`, in the units of the targets' budgets."""
    cost = network_cost(netdef)
    return {"params": cost.parameters, "bflops": cost.bflops * 1e9, "mb": cost.weights_bytes}


def fill_of(ranked: Ranked, targets: Targets, masks: Masks) -> float:
    return targets.fill(Left(ranked.kept(masks), ranked.blocks))


@given(pruning_tasks())
@examples(60)
def test_budgets_know_what_a_plan_of_channels_and_blocks_leaves(task: tuple[NetDef, Weights, PrunePlan]) -> None:
    pruned = apply(*task)
    graph = pruned.masked.graph
    left = Left(pruned.masked.kept, blocks_at(graph.netdef, task[2].removed))
    targets = settle_targets(graph, dict.fromkeys(MEASURES, Amount(0.5, relative=True)))
    found = {name: targets.cost(target, left) for name, target in targets.asked.items()}
    assert found == pytest.approx(costs_of(pruned.netdef), rel=1e-12)
    costs = kept_costs(graph, left.kept, blocks=left.blocks)
    assert not any(costs[index].parameters or costs[index].flops for block in left.blocks for index in block.layers)


@given(networks(), scopes(), WIDTHS, SOME, st.floats(0.02, 0.99), st.booleans())
@examples(60)
def test_targets_are_met_from_below_and_no_further_slot_would_fit(
    network: tuple[NetDef, Weights], scope: Scope, widths: Widths, names: list[str], share: float, some_blocks: bool
) -> None:
    graph = trace_groups(network[0], scope)
    blocks = [entry.block for entry in rank_blocks(graph, network[1])][: int(some_blocks)]
    gone = {index for block in blocks for index in block.layers}
    assume(set(graph.prunable_layers) - gone)
    ranked = rank_channels(graph, gammas(graph, network[1]), widths, blocks)
    least, most = (targets_between(graph, left, names) for left in extremes(ranked))
    asked = {name: Amount(least[name] + share * (most[name] - least[name]), relative=False) for name in names}
    targets = settle_targets(graph, asked)
    masks = fit_channels(ranked, targets)
    full = fill_of(ranked, targets, masks)
    assert full <= 1
    if full < 1 - TOLERANCE:
        further = [fill_of(ranked, targets, more) for more in every_extension(ranked, masks)]
        assert all(more > 1 for more in further)


def targets_between(graph: ChannelGraph, left: Left, names: list[str]) -> dict[str, float]:
    """What is left, in the units in which targets are given."""
    costs = {name: MEASURES[name].budget(None).cost(graph, left.kept, left.blocks) for name in names}
    return {name: cost / MEASURES[name].unit for name, cost in costs.items()}


def every_extension(ranked: Ranked, masks: Masks) -> list[Masks]:
    """The masks with each of the cut slots, and what the widths then demand."""
    found = [
        ranked.with_slot(masks, group, int(slot)) for group, mask in masks.items() for slot in np.flatnonzero(~mask)
    ]
    return [masks for masks in found if masks is not None]


@given(networks(), scopes(), st.sampled_from(sorted(MEASURES)), st.floats(0.1, 0.95))
@examples(40)
def test_the_network_that_is_pruned_to_a_target_meets_it(
    network: tuple[NetDef, Weights], scope: Scope, name: str, share: float
) -> None:
    graph = trace_groups(network[0], scope)
    assume(graph.prunable_layers)
    targets = settle_targets(graph, {name: Amount(share, relative=True)})
    ranked = rank_channels(graph, gammas(graph, network[1]), Widths())
    if not 1 - TOLERANCE <= fill_of(ranked, targets, fit_channels(ranked, targets)) <= 1:
        with pytest.raises(TargetError, match=MEASURES[name].flag):
            plan_to_targets(graph, network[1], targets, Widths())
        return
    plan = plan_to_targets(graph, network[1], targets, Widths())
    left = costs_of(apply(*network, plan).netdef)[name]
    wanted = targets.asked[name].wanted
    assert (1 - TOLERANCE) * wanted <= left <= wanted
    assert MEASURES[name].parse(plan.policy["targets"][name]) == Amount(share, relative=True)


@given(networks(), st.sampled_from(sorted(MEASURES)), st.floats(0.05, 1))
@examples(40)
def test_as_few_blocks_as_meet_a_target_are_removed(network: tuple[NetDef, Weights], name: str, share: float) -> None:
    graph = trace_groups(network[0])
    ranked = [entry.block.shortcut for entry in rank_blocks(graph, network[1])]
    assume(ranked)
    targets = settle_targets(graph, {name: Amount(share, relative=True)})
    wanted = targets.asked[name].wanted
    plans = [layer_plan(graph, network, ranked[:count]) for count in range(len(ranked) + 1)]
    left = [costs_of(apply(*network, plan).netdef)[name] for plan in plans]
    if min(left) > wanted:
        with pytest.raises(TargetError, match=MEASURES[name].flag):
            plan_blocks_to_targets(graph, network[1], targets)
        return
    plan = plan_blocks_to_targets(graph, network[1], targets)
    assert left[len(plan.removed)] <= wanted
    assert all(more > wanted for more in left[: len(plan.removed)])
    assert set(plan.removed) == set(ranked[: len(plan.removed)])


def layer_plan(graph: ChannelGraph, network: tuple[NetDef, Weights], removed: list[int]) -> PrunePlan:
    return PrunePlan(digest(*network), removed=tuple(removed), scope=graph.scope)


THREE = cbl(64) + cbl(64, size=3, pad=1) + cbl(64, size=3, pad=1)


def plan_of(amounts: dict[str, str], widths: Widths | None = None) -> tuple[ChannelGraph, PrunePlan]:
    graph = graph_of(THREE)
    rng = np.random.default_rng(0)
    weights = with_gammas(graph, {index: rng.random(64) for index in graph.cbl})
    asked = {name: MEASURES[name].parse(text) for name, text in amounts.items()}
    return graph, plan_to_targets(graph, weights, settle_targets(graph, asked), widths or Widths())


@pytest.mark.parametrize(
    ("amounts", "hardest"),
    [({"params": "0.5x", "bflops": "0.2x"}, "bflops"), ({"params": "9k", "mb": "0.9x"}, "params")],
)
def test_several_targets_are_all_met_and_the_hardest_within_two_percent(amounts: dict[str, str], hardest: str) -> None:
    graph, plan = plan_of(amounts)
    left = Left(graph.kept_ids(plan.keep()))
    targets = settle_targets(graph, {name: MEASURES[name].parse(text) for name, text in amounts.items()})
    shares = {name: targets.cost(target, left) / target.wanted for name, target in targets.asked.items()}
    assert shares[hardest] == max(shares.values())
    assert 1 - TOLERANCE <= shares[hardest] <= 1


@pytest.mark.parametrize(
    ("amounts", "words"),
    [
        (
            {"params": "0.0005x"},
            r"--target-params 0.0005x \(\d+ parameters\): [\d,]+ to [\d,]+ parameters \(0\.\d+x to 1x\)",
        ),
        ({"mb": "9"}, r"--target-mb 9: .* MB .* can be kept with these flags"),
        ({"bflops": "0.99x", "params": "0.0005x"}, r"--target-params 0.0005x"),
    ],
)
def test_what_cannot_be_reached_is_named_with_what_can(amounts: dict[str, str], words: str) -> None:
    with pytest.raises(TargetError, match=words) as caught:
        plan_of(amounts)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_widths_of_too_large_steps_name_the_nearest_below() -> None:
    with pytest.raises(TargetError, match=r"larger steps; the nearest below it is [\d,]+ parameters \(-\d"):
        plan_of({"params": "0.5x"}, Widths(multiple_of=32))


def test_the_importance_decides_what_a_target_cuts() -> None:
    graph, plan = plan_of({"params": "0.5x"})
    weights = with_gammas(graph, {index: np.random.default_rng(0).random(64) for index in graph.cbl})
    targets = settle_targets(graph, {"params": parse_amount("0.5x")})
    turned = plan_to_targets(graph, weights, targets, Widths(), importance=lambda g, w: 9 - gammas(g, w))
    assert any(set(a.cut) != set(b.cut) for a, b in zip(plan.masks, turned.masks, strict=True))


def test_what_is_reachable_is_what_plans_reach() -> None:
    graph = graph_of(chain(3) + THREE)
    weights = with_gammas(graph, {})
    blocks = removable_blocks(graph.netdef)
    for reach in (channel_reach(graph, Widths(layer_keep=0.2)), block_reach(graph, blocks)):
        found = {entry.measure.flag: entry for entry in reach}
        assert list(found) == [measure.flag for measure in MEASURES.values()]
        assert all(entry.least < entry.most == entry.whole for entry in found.values())
    least = channel_reach(graph, Widths(layer_keep=0.2))[0].least
    for amount, met in ((least, True), (least - 1, False)):
        targets = settle_targets(graph, {"params": Amount(amount, relative=False)})
        if met:
            plan = plan_to_targets(graph, weights, targets, Widths(layer_keep=0.2))
            assert costs_of(apply(graph.netdef, weights, plan).netdef)["params"] == least
        else:
            with pytest.raises(TargetError):
                plan_to_targets(graph, weights, targets, Widths(layer_keep=0.2))


def test_blocks_and_channels_together_leave_what_was_asked() -> None:
    graph = graph_of(chain(3) + THREE)
    weights = with_gammas(graph, {})
    blocks = [entry.block for entry in rank_blocks(graph, weights)][:2]
    targets = settle_targets(graph, {"bflops": parse_amount("0.4x")})
    plan = plan_to_targets(graph, weights, targets, Widths(), blocks)
    assert plan.removed == tuple(sorted(block.shortcut for block in blocks))
    assert plan.policy["shortcuts"] == 2
    left = costs_of(apply(graph.netdef, weights, plan).netdef)["bflops"]
    assert 1 - TOLERANCE <= left / targets.asked["bflops"].wanted <= 1


def test_where_nothing_can_be_cut_nothing_else_is_reachable() -> None:
    graph = graph_of("")
    assert all(entry.least == entry.most == entry.whole > 0 for entry in channel_reach(graph, Widths()))


def test_a_network_without_a_parameter_has_no_shares() -> None:
    graph = trace_groups(parse_netdef(NET + "[maxpool]\nsize=2\nstride=2\n"))
    reach = channel_reach(graph, Widths())
    assert [entry.whole for entry in reach if entry.measure.name == "parameters"] == [0]
    assert format_reach(reach).splitlines()[2].split() == ["parameters", "0", "0", "0", "-"]
    targets = settle_targets(graph, {"params": parse_amount("0.5x")})
    assert plan_blocks_to_targets(graph, Weights(Header(), {}), targets).removed == ()


def test_a_target_that_is_met_anyway_does_not_hide_the_hardest() -> None:
    whole = costs_of(graph_of(THREE).netdef)["params"]
    graph, plan = plan_of({"mb": "100", "params": "0.97x"})
    left = ParameterBudget().cost(graph, graph.kept_ids(plan.keep()))
    assert 0.98 * 0.97 <= left / whole <= 0.97


def test_every_measure_has_a_flag_of_its_name() -> None:
    given = TargetArgs(**{f"target_{name}": Amount(0.5, relative=True) for name in MEASURES})
    assert list(given.amounts()) == list(MEASURES)
    assert [measure.flag for measure in MEASURES.values()] == [f"--target-{name}" for name in MEASURES]
