"""Single rules of absorption, each on a network of a few layers whose floats are set by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from prune.darknet.activations import MIXING
from prune.darknet.netdef import parse_netdef
from prune.graph.channels import trace_groups
from prune.surgery.absorb import absorb_constants
from tests.absorbing import DeadTask
from tests.core.test_absorb import EXACT, WIDE, plan_again, task_of
from tests.core.test_channels import HEAD, NET, cbl
from tests.core.test_score import ADD
from tests.strategies import doubles, tame_weights

DEPTHWISE = cbl(4, groups=4, size=3, pad=1)
BACK = "[route]\nlayers=0\n"
PRODUCT = WIDE + WIDE + BACK + WIDE + "[sam]\nfrom=1\n"
"""Features (layer 1) and their gate (layer 3), both computed from layer 0; layer 4 is their product."""


def changed(task: DeadTask, layer: int, **values: Mapping[int, float]) -> DeadTask:
    """The task with other floats of one layer: array name → channel → value. What is dead stays as it was."""
    record = task.weights.conv(layer)
    arrays = {}
    for name, entries in values.items():
        arrays[name] = np.array(getattr(record, name), np.float64)
        arrays[name][list(entries)] = list(entries.values())
    records = {**task.weights.records, layer: replace(record, **{name: doubles(a) for name, a in arrays.items()})}
    weights = replace(task.weights, records=records)
    return replace(task, weights=weights, plan=plan_again(task, weights))


@pytest.mark.parametrize("var", [1.0, 1e-5])
def test_a_depthwise_channel_killed_by_its_input_is_what_batch_norm_makes_of_the_constant(var: float) -> None:
    """Darknet divides by sqrt(var + 1e-5); at a variance of that size any other epsilon is far off."""
    task = task_of(WIDE + DEPTHWISE + WIDE, {0: [1, 2]})
    task = changed(task, 1, gamma={1: 0.6, 2: -0.4}, var={1: var, 2: var})
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


@pytest.mark.parametrize("activation", sorted(MIXING))
def test_a_dead_layer_that_normalises_over_its_channels_is_constant_as_a_whole(activation: str) -> None:
    block = WIDE + WIDE.replace("leaky", activation) + ADD + "from=-3\n"
    task = task_of(WIDE + block + WIDE, {}, (3,))
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


@pytest.mark.parametrize("activation", sorted(MIXING))
def test_one_channel_of_a_layer_that_normalises_over_its_channels_is_not_constant(activation: str) -> None:
    """Its share depends on all other channels, so that nothing may be absorbed for it, even where its γ is 0."""
    netdef = parse_netdef(NET + WIDE.replace("leaky", activation) + WIDE + HEAD)
    graph, weights = trace_groups(netdef), tame_weights(netdef, 0)
    kept = np.ones(graph.trace.total, bool)
    kept[graph.trace.born(0, 4)[1]] = False
    absorbed, notes = absorb_constants(graph, weights, kept, ())
    assert absorbed.records == weights.records
    assert ["it reads 1 cut channels that no γ makes constant" in note for note in notes] == [True]


@pytest.mark.parametrize(("dead", "alive"), [(1, 3), (3, 1)])
def test_a_product_is_as_dead_as_its_weaker_factor(dead: int, alive: int) -> None:
    """γ is 0 in one factor, whose constant is 0, and 0.5 in the other. The depthwise convolution after the product has
    γ between them: it is dead by its input, not by its own γ.
    """
    task = task_of(PRODUCT.replace("leaky", "relu") + DEPTHWISE + WIDE, {1: [1]})
    task = changed(task, dead, bias={1: -1.0})
    task = changed(changed(task, alive, gamma={1: 0.5}, bias={1: 2.0}), 5, gamma={1: 0.1})
    flags = np.arange(4) == 1
    task = replace(task, dead={dead: flags, 5: flags})
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


@pytest.mark.parametrize(("weak", "strong"), [(1, 3), (3, 1)])
def test_a_product_whose_weaker_factor_is_a_constant_beside_0_is_noted_and_taken_as_0(weak: int, strong: int) -> None:
    """Only factors that are equally dead make a constant of their product."""
    task = task_of(PRODUCT + WIDE, {1: [1]})
    task = changed(changed(task, weak, gamma={1: 0.01}, bias={1: 1.0}), strong, gamma={1: 0.5}, bias={1: 3.0})
    pruned = task.pruned()
    assert ["1 cut or shifted channels" in note for note in pruned.notes] == [True]
    mean, before = pruned.weights.conv(5).mean, task.weights.conv(5).mean
    assert mean is not None
    np.testing.assert_array_equal(mean, before)


def test_a_product_of_two_constants_that_are_equally_dead_is_their_product() -> None:
    task = changed(changed(task_of(PRODUCT + WIDE, {1: [1]}), 1, bias={1: 1.5}), 3, bias={1: -2.0})
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


def test_shifts_of_both_factors_are_noted_even_where_they_cancel() -> None:
    """Two removed blocks shift the features by +1 and the gate by −1: neither shift passes the product."""
    linear = WIDE.replace("leaky", "linear")
    layers = WIDE + linear + ADD + "from=0\n" + BACK + linear + ADD + "from=0\n" + "[sam]\nfrom=2\n" + WIDE
    task = task_of(layers, {}, (2, 5))
    for layer, beta in ((1, 1.0), (4, -1.0)):
        task = changed(task, layer, bias=dict.fromkeys(range(4), beta))
    assert ["layer 6 [sam]: 4 cut or shifted channels" in note for note in task.pruned().notes] == [True]
