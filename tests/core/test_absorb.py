"""Absorption: what is dead and cut leaves no trace, borders included. The reference is tests/oracle.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, event, given

from prune.darknet.activations import MIXING
from prune.darknet.netdef import parse_netdef, read_netdef
from prune.darknet.records import Weights
from prune.graph.blocks import removable_blocks
from prune.graph.channels import trace_groups
from prune.plan.types import ChannelMask, PrunePlan, digest
from prune.surgery.apply import apply
from prune.surgery.slice import slice_record
from tests.absorbing import DeadTask, dead_tasks, deaden, random_image
from tests.absorbing_tasks import AGAIN, BLOCK, EXACT, GATE, WIDE, plan_again, task_of
from tests.cfg_writer import ACTIVATIONS
from tests.oracle import Array, NotConstantError, deviation, forward
from tests.shared import REPOSITORY
from tests.small_cfgs import ADD, HEAD, NET, cbl
from tests.strategies import as_float32, doubles, examples, tame_weights


@given(dead_tasks(gates=False))
@examples(150)
def test_dead_channels_are_cut_without_a_trace(task: DeadTask) -> None:
    pruned = task.pruned()
    assume(not pruned.notes)
    event(f"blocks removed: {bool(task.plan.removed)}")
    assert task.deviation(pruned) <= EXACT


@given(dead_tasks())
@examples(150)
def test_what_a_gate_makes_inexact_is_noted_and_all_else_is_exact(task: DeadTask) -> None:
    pruned = task.pruned()
    event(f"noted: {bool(pruned.notes)}")
    if not pruned.notes:
        assert task.deviation(pruned) <= EXACT


@pytest.mark.parametrize(
    ("layers", "cut", "removed"),
    [
        (WIDE + WIDE, {0: [1, 2]}, ()),
        (WIDE + "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n" + WIDE, {0: [0]}, ()),
        (WIDE + BLOCK + "from=-3\n" + WIDE, {0: [0, 3]}, ()),
        (WIDE + BLOCK + "from=-3\n" + WIDE, {}, (3,)),
        (WIDE + (BLOCK + "from=-3\n") * 3 + WIDE, {0: [1], 1: [0, 2]}, (3, 6)),
        (WIDE + (BLOCK + "from=-3\n") * 3 + WIDE, {}, (3, 9)),
        (WIDE + BLOCK + "from=0\n" + "[route]\nlayers=0,3\n" + WIDE, {0: [2]}, (3,)),
        (WIDE + WIDE + "[upsample]\nstride=2\nscale=0.5\n" + WIDE, {1: [0, 1]}, ()),
        (WIDE + "[maxpool]\nsize=2\nstride=1\n" + WIDE, {0: [0, 1]}, ()),
        (WIDE + "[maxpool]\nsize=3\nstride=2\n[dropout]\n" + WIDE, {0: [3]}, ()),
        (WIDE + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + WIDE + "[route]\nlayers=0,-1\n" + WIDE, {0: [1, 3]}, ()),
        (WIDE + cbl(8, groups=4, size=3, pad=1) + WIDE, {0: [1]}, ()),
        (WIDE + cbl(4, groups=2, size=3, pad=1) + WIDE, {0: [0, 3], 1: [1, 2]}, ()),
        (WIDE + cbl(6, size=3, pad=1) + ADD + "from=0\n" + WIDE, {0: [0, 5]}, ()),
        (cbl(6) + WIDE + ADD + "from=0\n" + WIDE, {0: [2, 5]}, ()),
        (WIDE + WIDE + "[shortcut]\nfrom=0\nactivation=logistic\n" + WIDE, {0: [1, 2]}, ()),
        (WIDE + WIDE + WIDE + ADD + "from=0,1\n" + WIDE, {0: [1, 2]}, ()),
        (WIDE + WIDE + WIDE + ADD + "from=-2\n" + ADD + "from=0\n" + WIDE, {0: [1]}, (4,)),
        (WIDE + WIDE + WIDE + ADD + "from=-2\n" + ADD + "from=0\n" + WIDE, {}, (3, 4)),
        (WIDE + WIDE + WIDE + "[shortcut]\nfrom=-2\nactivation=logistic\n" + ADD + "from=0\n" + WIDE, {}, (4,)),
        (WIDE + ADD + "from=-1\n" + "[route]\nlayers=-1,-1\n" + WIDE, {0: [1]}, ()),
        (WIDE + cbl(4, groups=4, size=3, pad=1) + ADD + "from=0\n" + WIDE, {}, (2,)),
        (WIDE + AGAIN + WIDE + AGAIN + WIDE + ADD + "from=0\n" + "[route]\nlayers=-1,2\n" + WIDE, {}, (5,)),
    ],
)
def test_constants_are_carried_through_the_network(
    layers: str, cut: dict[int, list[int]], removed: tuple[int, ...]
) -> None:
    for seed in range(3):
        task = task_of(layers, cut, removed, seed)
        pruned = task.pruned()
        assert pruned.notes == ()
        assert task.deviation(pruned) <= EXACT


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name not in MIXING])
def test_every_activation_gives_its_own_constant(activation: str) -> None:
    layers = cbl(4, size=3, pad=1).replace("leaky", activation) + WIDE
    task = task_of(layers, {0: [1, 2]})
    assert task.deviation(task.pruned()) <= EXACT


def without_absorption(task: DeadTask) -> Weights:
    """The pruned weights as peers cut them: constants dropped."""
    pruned = task.pruned()
    graph, kept = pruned.masked.graph, pruned.masked.kept
    records = {
        pruned.index_map[layer.index]: slice_record(graph, layer, task.weights.conv(layer.index), kept)
        for layer in task.netdef.convolutions
        if layer.index in pruned.index_map
    }
    return Weights(task.weights.header, records)


def nano(removed: int) -> DeadTask:
    """yolov3-nano with half of its channels dead, or some of its blocks."""
    netdef = read_netdef(REPOSITORY / "cfg" / "yolov3-nano.cfg")
    graph, weights, rng = trace_groups(netdef), tame_weights(netdef, 0), np.random.default_rng(0)
    blocks = tuple(block.shortcut for block in removable_blocks(netdef)[:removed])
    masks = tuple(ChannelMask(group.id, rng.random(group.width) < 0.5) for group in graph.prunable())
    return deaden(netdef, weights, PrunePlan(digest(netdef, weights), () if removed else masks, blocks))


@pytest.mark.parametrize("removed", [0, 4])
def test_the_nano_needs_its_constants(removed: int) -> None:
    task, image = nano(removed), random_image(side=64)
    pruned = task.pruned()
    original = forward(task.netdef, task.weights, image, task.dead)
    assert deviation(original, forward(pruned.netdef, pruned.weights, image)) <= EXACT
    assert deviation(original, forward(pruned.netdef, without_absorption(task), image)) > 0.1


@pytest.mark.parametrize("index", [1, 3])
def test_the_oracle_sees_one_absorbed_constant_of_the_wrong_sign(index: int) -> None:
    task = task_of(WIDE + WIDE + "[shortcut]\nfrom=0\nactivation=linear\n" + WIDE, {0: [2]})
    pruned, plain = task.pruned(), without_absorption(task)
    records = dict(pruned.weights.records)
    right, none = pruned.weights.conv(index).mean, plain.conv(index).mean
    assert right is not None
    assert none is not None
    assert np.count_nonzero(right - none)
    flipped = none - (right - none)
    one = np.arange(len(right)) == int(np.argmax(np.abs(right - none)))
    records[index] = replace(pruned.weights.conv(index), mean=doubles(np.where(one, flipped, right)))
    assert task.deviation(pruned) <= EXACT
    assert task.deviation(pruned, Weights(pruned.weights.header, records)) > 1e-4


@pytest.mark.parametrize(
    ("layers", "cut", "removed", "word"),
    [
        (WIDE + GATE + WIDE, {0: [1]}, (), "layer 3 [scale_channels]: 1 cut or shifted channels"),
        (WIDE + BLOCK + "from=0\n" + GATE + WIDE, {}, (3,), "layer 6 [scale_channels]: 4 cut or shifted"),
        (
            WIDE + BLOCK + "from=0\n[shortcut]\nfrom=0\nactivation=relu\n" + WIDE,
            {},
            (3,),
            "relu does not preserve a shift",
        ),
        (cbl(6) + cbl(6) + ADD + "from=0\n[yolo]\nanchors=1,2\nclasses=1\n" + WIDE, {}, (2,), "reaches the head"),
        (WIDE + BLOCK + "from=0\n[dropout]\n[route]\nlayers=0\n" + WIDE, {}, (3,), "this output of the network"),
        ("[convolutional]\nfilters=4\nactivation=relu\n" + WIDE + ADD + "from=0\n" + WIDE, {0: [1]}, (), "no γ makes"),
        (WIDE + WIDE.replace("batch_normalize=1\n", "") + ADD + "from=0\n" + WIDE, {}, (2,), "without a γ"),
    ],
)
def test_what_cannot_be_absorbed_is_noted(
    layers: str, cut: dict[int, list[int]], removed: tuple[int, ...], word: str
) -> None:
    notes = task_of(layers, cut, removed).pruned().notes
    assert any(word in note for note in notes), notes


@pytest.mark.parametrize("activation", ["linear", "logistic"])
def test_after_a_gate_a_constant_of_0_is_exact(activation: str) -> None:
    gate = f"{GATE}activation={activation}\n"
    task = task_of(WIDE.replace("leaky", "relu") + gate + WIDE, {0: [1, 2]})
    record = task.weights.conv(0)
    task = with_beta(task, 0, np.where([False, True, True, False], -1.0, record.bias))
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


def with_beta(task: DeadTask, index: int, beta: Array) -> DeadTask:
    records = {**task.weights.records, index: replace(task.weights.conv(index), bias=doubles(beta))}
    weights = Weights(task.weights.header, records)
    return replace(task, weights=weights, plan=replace(task.plan, source_digest=digest(task.netdef, weights)))


def test_a_depthwise_channel_killed_by_its_own_gamma_is_its_own_beta() -> None:
    task = task_of(WIDE + cbl(4, groups=4, size=3, pad=1) + WIDE, {0: [1, 2]})
    alive = with_alive_gamma(task, 0)
    pruned = apply(alive.netdef, alive.weights, alive.plan)
    assert alive.deviation(pruned) <= EXACT


def test_of_a_depthwise_channel_and_its_input_the_smaller_gamma_counts_as_0() -> None:
    """Neither is exactly 0: the weaker of the two determines the constant."""
    layers = WIDE + cbl(4, groups=4, size=3, pad=1) + WIDE
    task = task_of(layers, {0: [1]})
    for weaker, stronger in ((0, 1), (1, 0)):
        means = [
            apply(task.netdef, weights, plan_again(task, weights)).weights.conv(2).mean
            for weights in (with_gamma_at(task, {weaker: value, stronger: 0.5}) for value in (0.0, 0.01))
        ]
        assert means[0] is not None
        np.testing.assert_array_equal(means[0], means[1])


def with_gamma_at(task: DeadTask, values: dict[int, float]) -> Weights:
    """γ of channel 1 of some layers."""
    records = dict(task.weights.records)
    for index, value in values.items():
        gamma = task.weights.conv(index).gamma
        assert gamma is not None
        records[index] = replace(task.weights.conv(index), gamma=doubles(np.where(np.arange(4) == 1, value, gamma)))
    return Weights(task.weights.header, records)


def with_alive_gamma(task: DeadTask, index: int) -> DeadTask:
    """The same task, but nothing at layer `index` is dead by itself."""
    gamma = task.weights.conv(index).gamma
    assert gamma is not None
    alive = replace(task.weights.conv(index), gamma=doubles(np.where(gamma == 0, 0.6, gamma)))
    records = {**task.weights.records, index: alive}
    weights = Weights(task.weights.header, records)
    dead = {i: flags for i, flags in task.dead.items() if i != index}
    return DeadTask(task.netdef, weights, replace(task.plan, source_digest=digest(task.netdef, weights)), dead)


def test_the_oracle_refuses_what_is_not_constant() -> None:
    task = task_of(WIDE + WIDE, {0: [1]})
    alive = replace(task, weights=tame_weights(task.netdef, 0))
    with pytest.raises(NotConstantError):
        alive.deviation(task.pruned())


def test_float32_weights_stay_float32_and_untouched_ones_are_shared() -> None:
    netdef = parse_netdef(NET + WIDE + WIDE + WIDE + HEAD)
    weights = as_float32(tame_weights(netdef, 0))
    mask = ChannelMask(trace_groups(netdef).group(0).id, np.array([True, True, False, True]))
    pruned = apply(netdef, weights, PrunePlan(digest(netdef, weights), (mask,)))
    assert {a.dtype for r in pruned.weights.records.values() for a in r.arrays()} == {np.dtype(np.float32)}
    assert pruned.weights.conv(2) is weights.conv(2)
