"""Readiness: what a cut in the valley of the γ would take and what it would lose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prune.darknet.activations import ACTIVATIONS
from prune.darknet.netdef import NetDef, parse_netdef
from prune.darknet.records import Weights
from prune.errors import PlanError
from prune.graph.channels import ChannelGraph, trace_groups
from prune.graph.scope import Scope
from prune.plan.budget import BUDGETS, CHANNELS
from prune.plan.channel import ChannelPolicy, plan_channels, shares
from prune.plan.goal import Goal
from prune.plan.readiness import Readiness, assess, exact_percent
from prune.plan.spread import activated_variance
from tests.given_gammas import with_gammas
from tests.oracle import forward
from tests.small_cfgs import ADD, HEAD, cbl, graph_of
from tests.strategies import examples, networks, scopes, seeds

DEAD, LIVE = 1e-4, 1.0


def thinned(graph: ChannelGraph, seed: int, share: float) -> Weights:
    """Weights whose γ are nearly 0 by chance."""
    rng = np.random.default_rng(seed)
    found = {}
    for layer in graph.netdef.owners:
        width = layer.filters
        if layer.batch_normalize:
            dead, live = DEAD * rng.random(width), rng.uniform(0.5, 1.5, width)
            found[layer.index] = np.where(rng.random(width) < share, dead, live)
    return with_gammas(graph, found)


def of_gammas(*layers: list[float]) -> Readiness:
    """The readiness of a chain of layers with given γ."""
    graph = graph_of("".join(cbl(len(gamma)) for gamma in layers))
    return assess(graph, with_gammas(graph, dict(enumerate(layers))))


@given(networks(), scopes(), seeds, st.floats(0, 0.95))
@examples(80)
def test_the_percent_reproduces_the_cut_slot_for_slot(
    network: tuple[NetDef, Weights], scope: Scope, seed: int, share: float
) -> None:
    graph = trace_groups(network[0], scope)
    assume(graph.prunable_layers)
    weights = thinned(graph, seed, share)
    found = assess(graph, weights)
    plan = plan_channels(graph, weights, ChannelPolicy(percent=found.percent, layer_keep=0.0))
    assert shares(graph, plan, found.percent).of_prunable == pytest.approx(found.share)
    kept = graph.kept_ids(plan.keep())
    for layer in found.layers:
        assert layer.cut == pytest.approx(1 - kept[graph.trace.outputs[layer.layer]].mean())
        assert 0 <= layer.lost <= 1


@given(st.integers(1, 5000), st.data())
@examples(100)
def test_a_percent_is_a_whole_count_of_gammas(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total - 1))
    percent = exact_percent(count, total)
    assert int(percent * total) == count
    assert percent == pytest.approx(count / total)


def test_separated_gammas_are_safe_to_cut() -> None:
    found = of_gammas([DEAD] * 6 + [LIVE] * 4, [DEAD] * 2 + [LIVE] * 8)
    assert found.separated
    assert found.ready
    assert found.percent == found.share == pytest.approx(0.4)
    assert found.emptiest.layer == 0
    assert found.emptiest.cut == pytest.approx(0.6)
    assert found.layers[0].below == {0.001: 0.6, 0.01: 0.6, 0.1: 0.6}
    assert found.advice().startswith(f"safe to cut 40.0% of the channels ({found.parameters:.1%} of the parameters): ")


def test_the_parameters_are_those_that_the_plan_removes() -> None:
    found = of_gammas([DEAD] * 6 + [LIVE] * 4)
    before, after = 3 * 10 + 4 * 10 + 10 * 6 + 6, 3 * 4 + 4 * 4 + 4 * 6 + 6
    assert found.parameters == pytest.approx(1 - after / before)


def test_a_layer_that_is_nearly_emptied_is_named() -> None:
    found = of_gammas([DEAD] * 39 + [LIVE], [LIVE] * 20)
    assert found.advice().endswith("; layer 0 keeps 2.5% of its channels")


def test_a_layer_of_dead_gammas_alone_keeps_one_channel() -> None:
    found = of_gammas([DEAD] * 4, [LIVE] * 8)
    assert found.layers[0].cut == 0.75
    assert not found.ready, "three quarters of what layer 1 reads would go"
    assert found.most_lost.layer == 1
    said = found.advice()
    assert said.startswith("not safe to cut 25.0% of the channels (")
    assert f": layer 1 would lose {found.most_lost.lost:.1%} of what it reads; train on" in said


def test_the_loss_of_a_head_counts() -> None:
    found = of_gammas([LIVE] * 20, [1e-5, 1e-5])
    assert found.most_lost.layer == 2
    assert found.most_lost.below == {}, "it has no batch norm"
    assert not found.ready


def test_gammas_without_a_gap_are_not_separated() -> None:
    found = of_gammas(np.linspace(0.001, 1, 200).tolist())
    assert not found.separated
    assert not found.ready
    assert found.advice().startswith("not separated: no gap between small and large gammas, ")
    assert f"{found.valley.inside:.1%} lie within a factor of 3" in found.advice()
    assert found.advice().endswith("train on, raise s, or use --s auto")


@pytest.mark.parametrize("gammas", [[0.4, 0.5, 2.0], [0.4] * 7, [0.4]], ids=["few", "equal", "one channel"])
def test_where_nothing_is_small_there_is_nothing_to_cut(gammas: list[float]) -> None:
    found = of_gammas(gammas)
    assert (found.percent, found.share, found.parameters) == (0, 0, 0)
    assert not found.ready
    largest = f"{max(gammas):.3g}"
    assert found.advice() == (
        f"nothing to cut: no gamma is nearly 0, the smallest is 0.4 and the largest {largest}; "
        "train sparsely first, or raise s"
    )


def test_gammas_that_are_all_0_mean_a_network_that_computes_nothing() -> None:
    found = of_gammas([0.0] * 5, [0.0] * 3)
    assert not found.ready
    assert found.percent == 0
    assert found.advice().startswith("nothing to cut by: every gamma is 0")


@pytest.mark.parametrize(("asked", "met"), [(0.3, True), (0.44, True), (0.46, False)])
def test_a_goal_is_met_from_five_points_under_it(asked: float, met: bool) -> None:
    graph = graph_of(cbl(10) + cbl(10))
    weights = with_gammas(graph, {0: [DEAD] * 6 + [LIVE] * 4, 1: [DEAD] * 2 + [LIVE] * 8})
    found = assess(graph, weights, Goal(share=asked, budget=CHANNELS))
    assert found.safe
    assert found.reached == pytest.approx(0.4)
    assert found.ready is found.met is met
    missed = f"; but {asked:.1%} was to go and 40.0% does: train longer, or ask for less"
    assert found.advice().startswith("safe to cut 40.0% of the channels")
    assert found.advice().endswith(missed) is not met


def test_a_goal_may_be_a_share_of_the_parameters() -> None:
    graph = graph_of(cbl(10))
    weights = with_gammas(graph, {0: [DEAD] * 6 + [LIVE] * 4})
    found = assess(graph, weights, Goal(share=0.5, budget=BUDGETS["parameters"]))
    assert found.reached == found.parameters


def test_tied_layers_count_once_per_gamma() -> None:
    graph = graph_of(cbl(4) + "[route]\nlayers=0\n" + cbl(4) + ADD + "from=0\n" + cbl(2))
    weights = with_gammas(graph, {0: [0, 0, 1, 1], 2: [0, 1, 0, 1], 4: [1, 1]})
    found = assess(graph, weights)
    assert found.percent == pytest.approx(4 / 10), "of ten γ four are 0"
    assert found.share == pytest.approx(2 / 10), "only one slot of two γ can go"
    assert found.valley.percent == pytest.approx(2 / 10)
    assert found.advice().endswith("; 40.0% of the gammas are small, but some are tied to large ones")


def test_protected_layers_have_no_part_in_it() -> None:
    layers = cbl(4) + cbl(8)
    free, kept = graph_of(layers), trace_groups(graph_of(layers).netdef, Scope(keep=(0,)))
    weights = with_gammas(free, {0: [0, 0, 0, 1], 1: [0, 1, 1, 1, 1, 1, 1, 1]})
    assert assess(free, weights).percent == pytest.approx(4 / 12)
    found = assess(kept, weights)
    assert found.percent == pytest.approx(1 / 8)
    assert found.layers[0].cut == 0
    assert found.layers[0].below == {}


def test_where_nothing_can_be_pruned_or_a_gamma_is_not_finite_one_line_says_so() -> None:
    graph = graph_of("")
    with pytest.raises(PlanError, match=r"no channel can be pruned; python -m prune\.explain says why"):
        assess(graph, with_gammas(graph, {}))
    with pytest.raises(PlanError, match="layer 1 has a γ that is not finite"):
        of_gammas([1.0, 1.0], [np.nan, 1.0])


INDEPENDENT = (
    "[net]\nwidth=128\nheight=128\nchannels=16\n"
    + cbl(16, size=1).replace("leaky", "linear")
    + cbl(8, size=1)
    + "[route]\nlayers=0\n"
    + cbl(8, size=1)
    + ADD
    + "from=1\n"
    + HEAD
)
"""Layer 1 reads the first eight channels, layer 3 the others; their sum is read by the head, layer 5."""


def independent(seed: int, small: float) -> tuple[ChannelGraph, Weights]:
    rng = np.random.default_rng(seed)
    graph = trace_groups(parse_netdef(INDEPENDENT), Scope())
    gamma = np.where(np.arange(8) < 3, small, 1.0) * rng.uniform(0.7, 1.4, (2, 8))
    weights = with_gammas(graph, {0: np.ones(16), 1: gamma[0], 3: gamma[1]})
    records = dict(weights.records)
    eye = np.eye(16, dtype=np.float32)
    kernels = {0: eye, 1: eye[:8], 3: eye[8:]}
    for index, kernel in kernels.items():
        own, width = weights.conv(index), len(kernel)
        zeros, ones = np.zeros(width, np.float32), np.ones(width, np.float32)
        bias = own.bias if index else zeros
        records[index] = replace(own, weight=kernel[:, :, None, None], bias=bias, mean=zeros, var=ones)
    return graph, Weights(weights.header, records)


@pytest.mark.parametrize("seed", range(4))
def test_what_a_layer_loses_is_the_share_of_the_variance_that_goes(seed: int) -> None:
    graph, weights = independent(seed, 0.06)
    lost = next(layer.lost for layer in assess(graph, weights).layers if layer.layer == 5)
    image = np.random.default_rng(seed).standard_normal((16, 128, 128))
    head = weights.conv(5)
    small = replace(head, weight=head.weight * (np.arange(8, dtype=np.float32)[:, None, None] < 3))
    whole, cut = (
        sum(np.var(next(iter(forward(graph.netdef, one, image).values())), axis=(1, 2)))
        for one in (weights, Weights(weights.header, {**weights.records, 5: small}))
    )
    assert lost == pytest.approx(cut / whole, rel=0.05)
    assert 1e-4 < lost < 0.01


@given(st.sampled_from(["linear", "leaky", "relu", "logistic", "mish"]), st.floats(-3, 3), st.floats(0, 2))
@examples(60)
def test_the_variance_after_an_activation_is_that_of_many_draws(activation: str, mean: float, deviation: float) -> None:
    quantiles = np.random.default_rng(0).standard_normal(200_000)
    drawn = ACTIVATIONS[activation](mean + deviation * quantiles).var()
    (found,) = activated_variance(activation, np.array([mean]), np.array([deviation]))
    assert found == pytest.approx(drawn, rel=0.04, abs=1e-4 * deviation**2 + 1e-12)
