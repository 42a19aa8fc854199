"""γ of one size: the network computes the same, and the γ that can be pruned are 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from prune.darknet.activations import ACTIVATIONS
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.records import Floats, Weights
from prune.errors import VerificationError
from prune.graph.channels import EVERYTHING, trace_groups
from prune.graph.scope import Scope
from prune.surgery.equalize import FLOOR, HOMOGENEOUS, equalize
from prune.verify.rescaling import check_rescaling
from tests.shared import REPOSITORY
from tests.small_cfgs import ADD, HEAD, NET, cbl
from tests.strategies import examples, networks, tame_weights


def gamma_of(weights: Weights, layer: int) -> Floats:
    gamma = weights.conv(layer).gamma
    assert gamma is not None
    return gamma


@given(networks())
@examples(150)
def test_any_network_computes_the_same_with_equal_gammas(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network
    equalized = equalize(trace_groups(netdef, EVERYTHING), weights)
    assert check_rescaling(netdef, weights, equalized.weights) <= 1e-9


@given(networks())
@examples(80)
def test_gammas_that_no_shortcut_ties_become_one_unless_they_were_nearly_0_or_a_reason_is_given(
    network: tuple[NetDef, Weights],
) -> None:
    netdef, weights = network
    graph = trace_groups(netdef, EVERYTHING)
    equalized = equalize(graph, weights)
    for index in graph.prunable_layers:
        gamma = gamma_of(equalized.weights, index)
        assert (gamma >= 0).all()
        if index not in equalized.left and not graph.group(index).shortcuts:
            size = np.abs(gamma_of(weights, index))
            np.testing.assert_allclose(gamma, size / np.maximum(size, FLOOR * np.median(size)))


def test_homogeneous_activations_are_all_that_there_are() -> None:
    x = np.linspace(-9, 9, 61)
    found = {name for name, f in ACTIVATIONS.items() if np.allclose(f(3.7 * x), 3.7 * f(x), rtol=1e-12, atol=1e-12)}
    assert found == HOMOGENEOUS


def test_layers_that_a_shortcut_adds_get_the_same_factor() -> None:
    netdef = parse_netdef(NET + cbl(4) + cbl(4) + ADD + "from=-2\n" + cbl(4) + HEAD)
    weights = tame_weights(netdef, 0)
    graph = trace_groups(netdef, EVERYTHING)
    gammas = np.abs([gamma_of(weights, 0), gamma_of(weights, 1)])
    found = [gamma_of(equalize(graph, weights).weights, i) for i in (0, 1)]
    np.testing.assert_allclose(found, gammas / gammas.max(axis=0))


def test_an_activation_that_passes_no_factor_on_leaves_its_layer_and_says_so() -> None:
    netdef = parse_netdef(NET + cbl(4).replace("leaky", "mish") + cbl(4) + HEAD)
    weights = tame_weights(netdef, 0)
    equalized = equalize(trace_groups(netdef, EVERYTHING), weights)
    assert equalized.left == {0: "activation=mish of layer 0 passes no factor on"}
    np.testing.assert_array_equal(gamma_of(equalized.weights, 0), np.abs(gamma_of(weights, 0)))


def test_what_cannot_be_pruned_keeps_its_size() -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / "yolov3-tiny.cfg")
    weights = tame_weights(netdef, 0)
    equalized = equalize(trace_groups(netdef, Scope()), weights)
    np.testing.assert_array_equal(gamma_of(equalized.weights, 18), gamma_of(weights, 18))


def test_a_nearly_dead_channel_stays_nearly_dead() -> None:
    netdef = parse_netdef(NET + cbl(8) + cbl(4) + HEAD)
    weights = tame_weights(netdef, 0)
    gamma = gamma_of(weights, 0)
    gamma[3] = 1e-6 * np.median(np.abs(gamma))
    found = gamma_of(equalize(trace_groups(netdef, EVERYTHING), weights).weights, 0)
    assert found[3] < 1e-6 / FLOOR * 1.01


def test_a_wrong_rescaling_is_seen() -> None:
    netdef = parse_netdef(NET + cbl(4) + cbl(4) + HEAD)
    weights = tame_weights(netdef, 0)
    record = weights.conv(0)
    assert record.gamma is not None
    wrong = Weights(weights.header, {**weights.records, 0: replace(record, gamma=record.gamma * 1.001)})
    with pytest.raises(VerificationError, match="rescaled"):
        check_rescaling(netdef, weights, wrong)
