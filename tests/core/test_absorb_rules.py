"""Single rules of absorption, each on a network of a few layers whose floats are set by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from prune.darknet.activations import MIXING
from prune.darknet.netdef import parse_netdef
from prune.darknet.records import Weights
from prune.graph.channels import trace_groups
from prune.surgery.absorb import absorb_constants
from tests.absorbing import DeadTask
from tests.absorbing_tasks import EXACT, WIDE, plan_again, task_of
from tests.oracle import Array
from tests.small_cfgs import ADD, HEAD, NET, cbl
from tests.strategies import doubles, tame_weights

DEPTHWISE = cbl(4, groups=4, size=3, pad=1)
BACK = "[route]\nlayers=0\n"
PRODUCT = WIDE + WIDE + BACK + WIDE + "[sam]\nfrom=1\n"
"""Features (layer 1) and their gate (layer 3), both computed from layer 0; layer 4 is their product."""


def changed(task: DeadTask, layer: int, **values: Mapping[int, float]) -> DeadTask:
    """The task with other floats of one layer: array name → channel → value. What is dead remains dead."""
    record = task.weights.conv(layer)
    arrays = {}
    for name, entries in values.items():
        arrays[name] = np.array(getattr(record, name), np.float64)
        arrays[name][list(entries)] = list(entries.values())
    records = {**task.weights.records, layer: replace(record, **{name: doubles(a) for name, a in arrays.items()})}
    weights = replace(task.weights, records=records)
    return replace(task, weights=weights, plan=plan_again(task, weights))


def mean_of(weights: Weights, layer: int) -> Array:
    """The means of a convolution's batch norm."""
    mean = weights.conv(layer).mean
    assert mean is not None
    return mean.astype(np.float64)


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
    """Its share depends on all other channels, so that nothing can be absorbed for it, even where its γ is 0."""
    netdef = parse_netdef(NET + WIDE.replace("leaky", activation) + WIDE + HEAD)
    graph, weights = trace_groups(netdef), tame_weights(netdef, 0)
    kept = np.ones(graph.trace.total, bool)
    kept[graph.trace.ids_of(0, 4)[1]] = False
    absorbed = absorb_constants(graph, weights, kept, ())
    assert absorbed.weights.records == weights.records
    assert ["it reads 1 cut channels that no γ makes constant" in str(loss) for loss in absorbed.losses] == [True]


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
def test_a_product_whose_weaker_factor_is_a_constant_other_than_0_is_noted_and_taken_as_0(
    weak: int, strong: int
) -> None:
    """Only of factors that are equally dead the product is a constant."""
    task = task_of(PRODUCT + WIDE, {1: [1]})
    task = changed(changed(task, weak, gamma={1: 0.01}, bias={1: 1.0}), strong, gamma={1: 0.5}, bias={1: 3.0})
    pruned = task.pruned()
    assert ["1 cut or shifted channels" in note for note in pruned.notes] == [True]
    np.testing.assert_array_equal(mean_of(pruned.weights, 5), mean_of(task.weights, 5))


def test_a_product_of_two_constants_that_are_equally_dead_is_their_product() -> None:
    task = changed(changed(task_of(PRODUCT + WIDE, {1: [1]}), 1, bias={1: 1.5}), 3, bias={1: -2.0})
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


def test_a_shift_times_a_constant_of_0_is_0_and_needs_no_note() -> None:
    """Channel 1 of the features is the constant 0. That of the gate has no γ, and a shift from the removed block."""
    bare = WIDE.replace("batch_normalize=1\n", "")
    gate = BACK + bare + WIDE.replace("leaky", "linear") + ADD + "from=3\n" + "[sam]\nfrom=1\n"
    task = task_of(WIDE + WIDE.replace("leaky", "relu") + gate + WIDE, {1: [1]}, (5,))
    task = changed(changed(task, 1, bias={1: -1.0}), 4, bias={0: 0.0, 1: 3.0, 2: 0.0, 3: 0.0})
    assert [note for note in task.pruned().notes if "[sam]" in note] == []


def test_shifts_of_both_factors_are_noted_even_where_they_cancel() -> None:
    """Two removed blocks shift the features by +1 and the gate by −1: neither shift passes the product."""
    linear = WIDE.replace("leaky", "linear")
    layers = WIDE + linear + ADD + "from=0\n" + BACK + linear + ADD + "from=0\n" + "[sam]\nfrom=2\n" + WIDE
    task = task_of(layers, {}, (2, 5))
    for layer, beta in ((1, 1.0), (4, -1.0)):
        task = changed(task, layer, bias=dict.fromkeys(range(4), beta))
    assert ["layer 6 [sam]: 4 cut or shifted channels" in note for note in task.pruned().notes] == [True]


def test_a_channel_that_several_depthwise_convolutions_pass_on_is_dead_by_the_first() -> None:
    """γ is 0, then 0.3, then 0.1: nothing later than the first is dead by its own γ."""
    task = task_of(WIDE + DEPTHWISE + DEPTHWISE + WIDE, {0: [1]})
    task = changed(changed(task, 1, gamma={1: 0.3}), 2, gamma={1: 0.1})
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


def test_a_sum_leaves_the_addend_that_is_read_elsewhere_as_dead_as_it_was() -> None:
    """Layer 1 is dead by γ = 0.01, layer 0, to which a shortcut adds it, by 0.5. The depthwise convolution reads layer
    1 alone and has γ = 0.1: it is dead by its input, and what batch norm makes of that depends on its mean.
    """
    layers = WIDE + WIDE + ADD + "from=0\n" + WIDE + "[route]\nlayers=1\n" + DEPTHWISE + "[route]\nlayers=3,5\n" + WIDE
    task = task_of(layers, {1: [1]})
    for layer, gamma in ((0, 0.5), (1, 0.01), (5, 0.1)):
        task = changed(task, layer, gamma={1: gamma})
    means = [mean_of(changed(task, 5, mean={1: mean}).pruned().weights, 7) for mean in (0.0, 3.0)]
    assert np.abs(means[0] - means[1]).max() > 1e-6


@pytest.mark.parametrize(
    ("layer", "cut", "outputs"),
    [
        ("[maxpool]\nmaxpool_depth=1\nout_channels=4\nsize=1\nstride=1\n", (1, 5), (4, (1,))),
        ("[reorg]\nstride=2\n", (4, 5, 6, 7), (32, (7, 15, 22, 30))),
    ],
)
def test_what_is_made_of_several_channels_is_only_as_dead_as_the_least_dead_of_them(
    layer: str, cut: tuple[int, ...], outputs: tuple[int, tuple[int, ...]]
) -> None:
    """The last of the cut channels has γ = 0.5, the others 0.01; of `outputs` (width, those made of the last and of
    others) the depthwise convolution has γ = 0.1: it is dead by its own, so that its mean does not matter.
    """
    width, mixed = outputs
    task = task_of(cbl(8, size=1, stride=3) + layer + cbl(width, groups=width) + WIDE, {0: [1]})
    task = changed(task, 0, gamma=dict.fromkeys(cut, 0.01) | {cut[-1]: 0.5})
    task = changed(task, 2, gamma=dict.fromkeys(mixed, 0.1))
    changes = [changed(task, 2, mean=dict.fromkeys(mixed, mean)) for mean in (0.0, 3.0)]
    before, after = (mean_of(change.pruned().weights, 3) for change in changes)
    np.testing.assert_array_equal(before, after)


EQUAL = dict.fromkeys(range(8), 1.5)


@pytest.mark.parametrize(
    ("layer", "cut"),
    [
        ("[reorg3d]\nstride=2\n", [1, 2]),
        ("[reorg]\nstride=2\n", [1]),
        ("[reorg]\nstride=2\nreverse=1\n", [1]),
        ("[maxpool]\nmaxpool_depth=1\nout_channels=2\nsize=1\nstride=1\n", [0]),
        ("[maxpool]\nmaxpool_depth=1\nout_channels=3\nsize=1\nstride=1\n", [2]),
    ],
)
def test_equal_constants_pass_what_reorders_or_joins_channels(layer: str, cut: list[int]) -> None:
    task = task_of(cbl(8, size=3, pad=1) + layer + WIDE, {0: cut})
    task = changed(task, 0, bias=EQUAL)
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


def test_of_unequal_constants_pooled_over_depth_the_largest_is_kept() -> None:
    pool = "[maxpool]\nmaxpool_depth=1\nout_channels=2\nsize=1\nstride=1\n"
    task = task_of(cbl(6, size=3, pad=1) + pool + WIDE, {0: [1]})
    task = changed(task, 0, bias={1: -2.0, 3: 1.0, 5: 0.5})
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


def test_of_unequal_constants_that_become_one_channel_the_mean_is_kept_with_a_note() -> None:
    """Depth to space: a constant of 1 and three of 0 are 0.25."""
    task = task_of(cbl(8).replace("leaky", "relu") + "[reorg]\nstride=2\nreverse=1\n" + cbl(4), {0: [1]})
    task = changed(task, 0, bias={1: 1.0, 3: 0.0, 5: 0.0, 7: 0.0})
    pruned = task.pruned()
    assert ["1 outputs mix different constants; their mean is kept" in note for note in pruned.notes] == [True]
    kernel = task.weights.conv(2).weight[:, 1, 0, 0]
    np.testing.assert_allclose(mean_of(pruned.weights, 2), mean_of(task.weights, 2) - 0.25 * kernel)


def test_of_unequal_constants_that_the_old_reorg_mixes_the_mean_over_the_pixels_is_kept_with_a_note() -> None:
    """It views four maps of 6×6 as one of 12×12, takes every second row and column, and views that as four of 3×3."""
    constants = [1.0, 0.0, 2.0, 5.0]
    layers = cbl(8, size=1, stride=3).replace("leaky", "relu") + "[reorg]\nstride=2\n" + cbl(4)
    task = task_of(layers, {0: [1]})
    task = changed(task, 0, bias=dict(zip((4, 5, 6, 7), constants, strict=True)))
    plane = np.repeat(constants, 36).reshape(12, 12)
    parts = [plane[row::2, column::2].reshape(4, 9).mean(axis=1) for row in (0, 1) for column in (0, 1)]
    read = [np.concatenate([np.zeros(4), part]) for part in parts]  # of each block the channels of both runs
    pruned = task.pruned()
    assert ["8 outputs mix different constants; their mean is kept" in note for note in pruned.notes] == [True]
    lost = task.weights.conv(2).weight[:, :, 0, 0] @ np.concatenate(read)
    np.testing.assert_allclose(mean_of(pruned.weights, 2), mean_of(task.weights, 2) - lost)


def shifted(layers: str) -> DeadTask:
    """A removed block after layer 0, whose shifts of 1, 1, 2 and 3 the layers then read."""
    task = task_of(WIDE + WIDE.replace("leaky", "linear") + ADD + "from=0\n" + layers, {}, (2,))
    return changed(task, 1, bias={0: 1.0, 1: 1.0, 2: 2.0, 3: 3.0})


def test_shifts_that_differ_do_not_pass_a_pooling_over_depth() -> None:
    """Channels 0 and 2 are pooled, and 1 and 3."""
    pool = "[maxpool]\nmaxpool_depth=1\nout_channels=2\nsize=1\nstride=1\n"
    task = shifted(pool + WIDE)
    assert ["2 channels lose shifts that differ" in note for note in task.pruned().notes] == [True]
    equal = changed(task, 1, bias={2: 1.0, 3: 1.0})
    pruned = equal.pruned()
    assert pruned.notes == ()
    assert equal.deviation(pruned) <= EXACT


def test_no_shift_passes_a_softmax() -> None:
    task = shifted("[softmax]\n" + WIDE)
    pruned = task.pruned()
    assert ["[softmax]: does not preserve a shift" in note for note in pruned.notes] == [True]
    np.testing.assert_array_equal(mean_of(pruned.weights, pruned.index_map[4]), mean_of(task.weights, 4))


def test_a_shift_that_layers_with_common_floats_read_is_lost_with_a_note() -> None:
    task = shifted(WIDE + cbl(4, size=3, pad=1, share_index=3) + WIDE)
    pruned = task.pruned()
    assert ["layer 3 [convolutional]: its floats are shared" in note for note in pruned.notes] == [True]
    np.testing.assert_array_equal(mean_of(pruned.weights, pruned.index_map[3]), mean_of(task.weights, 3))


def test_a_shift_that_reaches_a_head_is_noted_once() -> None:
    layers = cbl(6) + cbl(6) + ADD + "from=0\n[yolo]\nanchors=1,2\nclasses=1\n" + WIDE
    notes = task_of(layers, {}, (2,)).pruned().notes
    assert [note for note in notes if "layer 3 [yolo]" in note] == list(notes[:1])
    assert "a bias shift reaches the head" in notes[0]


@pytest.mark.parametrize("weights", ["", "weights_type=per_feature\n", "weights_type=per_channel\n"])
@pytest.mark.parametrize("activation", ["linear", "leaky", "logistic"])
def test_what_replaces_a_shortcut_keeps_its_factor_its_shift_and_its_activation(activation: str, weights: str) -> None:
    shortcut = f"[shortcut]\nfrom=0\nactivation={activation}\n{weights}"
    task = task_of(WIDE + WIDE + shortcut + WIDE, {}, (2,))
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


@pytest.mark.parametrize("weights", ["weights_type=per_feature\n", "weights_type=per_channel\n"])
def test_a_weighted_sum_of_dead_channels_is_weighted_in_what_is_absorbed_and_loses_their_factors(weights: str) -> None:
    shortcut = f"[shortcut]\nfrom=0\nactivation=linear\n{weights}"
    task = task_of(WIDE + WIDE + shortcut + WIDE, {0: [1, 2]})
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


def test_upsampled_constants_are_scaled() -> None:
    task = task_of(WIDE + "[upsample]\nstride=2\nscale=0.5\n" + WIDE, {0: [1]})
    assert task.deviation(task.pruned()) <= EXACT


def test_what_a_removed_block_reads_is_not_noted() -> None:
    """It is removed as a whole: a cut channel without a γ that only it reads costs nothing."""
    bare = "[convolutional]\nfilters=4\nactivation=relu\n"
    layers = bare + WIDE + ADD + "from=0\n" + WIDE + WIDE + ADD + "from=-3\n" + WIDE
    notes = task_of(layers, {0: [1]}, (5,)).pruned().notes
    assert [note for note in notes if "layer 3 " in note or "layer 4 " in note] == []
    assert any("layer 6 [convolutional]: it reads 1 cut channels" in note for note in notes)
