"""Surgery: the pruned pair is a network again, plans compose, and references keep their meaning and their form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, given
from numpy.typing import NDArray

from prune.darknet.netdef import NetDef, format_netdef, parse_netdef
from prune.darknet.records import Weights
from prune.darknet.shapes import shapes
from prune.darknet.weights import read_weights, write_weights
from prune.errors import PlanError
from prune.graph.channels import EVERYTHING, ChannelGraph, trace_groups
from prune.plan.types import ChannelMask, PrunePlan, blocks_at, digest
from prune.surgery.apply import Pruned, apply
from tests.applied_plans import BLOCK, applied
from tests.given_gammas import with_gammas
from tests.small_cfgs import ADD, HEAD, NET, cbl, graph_of
from tests.strategies import arrays_of, as_float32, chance_masks, examples, networks, pruning_tasks, randoms
from tests.untidy import dressed

Task = tuple[NetDef, Weights, PrunePlan]
Mask = Mapping[int, NDArray[np.bool_]]


@given(networks(), randoms)
@examples(40)
def test_an_empty_plan_is_the_identity(network: tuple[NetDef, Weights], random: Random) -> None:
    netdef, weights = parse_netdef(dressed(format_netdef(network[0]), random)), network[1]
    graph = trace_groups(netdef, EVERYTHING)
    full = tuple(ChannelMask(group.id, np.ones(group.width, bool)) for group in graph.groups)
    for masks in ((), full):
        pruned = applied(netdef, weights, masks)
        assert format_netdef(pruned.netdef) == format_netdef(netdef)
        assert pruned.weights == weights or digest(pruned.netdef, pruned.weights) == digest(netdef, weights)
        assert pruned.notes == ()


@given(pruning_tasks(), randoms)
@examples(80)
def test_a_pruned_pair_is_a_network_whose_weights_fit_exactly(task: Task, random: Random) -> None:
    netdef, weights = parse_netdef(dressed(format_netdef(task[0]), random)), as_float32(task[1])
    pruned = apply(netdef, weights, replace(task[2], source_digest=digest(netdef, weights)))
    again = parse_netdef(format_netdef(pruned.netdef))
    replaced = {block.shortcut for block in pruned.masked.blocks if block.replaced}
    graph = trace_groups(netdef, EVERYTHING)
    kept = graph.kept_ids(task[2].keep())
    before, after = shapes(netdef), shapes(again)
    for old, new in pruned.index_map.items():
        assert after[new] == before[old]._replace(channels=int(kept[graph.trace.outputs[old]].sum()))
        assert again.layers[new].kind == ("convolutional" if old in replaced else netdef.layers[old].kind)
    with TemporaryDirectory() as folder:
        write_weights(Path(folder) / "a.weights", pruned.weights, pruned.netdef)
        read = read_weights(Path(folder) / "a.weights", again)
    pairs = zip(arrays_of(read), arrays_of(pruned.weights), strict=True)
    assert all(a.tobytes() == b.tobytes() for (_, a), (_, b) in pairs)


def channels_kept(graph: ChannelGraph, keep: Mask) -> dict[int, NDArray[np.bool_]]:
    """Convolution → which of its channels are kept."""
    kept = graph.kept_ids(keep)
    return {c.index: kept[graph.trace.ids_of(c.index, c.filters)] for c in graph.netdef.convolutions}


def masks_of(graph: ChannelGraph, channels: Mapping[int, NDArray[np.bool_]]) -> tuple[ChannelMask, ...]:
    """The masks that keep these channels, where there are such masks."""
    masks = []
    for group in graph.groups:
        keep = np.ones(group.width, bool)
        for producer, slots in group.members.items():
            keep[slots[~channels[producer]]] = False
        masks.append(ChannelMask(group.id, keep))
    return tuple(masks)


@given(networks(), randoms)
@examples(80)
def test_cutting_a_then_b_is_cutting_both_at_once(network: tuple[NetDef, Weights], random: Random) -> None:
    netdef, weights = network
    graph = trace_groups(netdef, EVERYTHING)
    first = applied(netdef, weights, chance_masks(graph, random, 0.3))
    between = trace_groups(first.netdef, EVERYTHING)
    masks = chance_masks(between, random, 0.3)
    second = applied(first.netdef, first.weights, masks)
    left = channels_kept(between, {mask.group: mask.keep for mask in masks})
    channels = channels_kept(graph, {})
    for index, flags in channels.items():
        stayed = np.flatnonzero(kept_of(first, index))
        flags[:] = False
        flags[stayed[left[index]]] = True
    try:
        at_once = applied(netdef, weights, masks_of(graph, channels))
    except PlanError:
        assume(False)  # a grouped convolution became depthwise in between: the first network allows less
    assert format_netdef(at_once.netdef) == format_netdef(second.netdef)
    assert_close(at_once.weights, second.weights)


def kept_of(pruned: Pruned, index: int) -> NDArray[np.bool_]:
    """Which channels of a convolution a plan has kept."""
    layer = pruned.masked.graph.netdef.convolution(index)
    return pruned.masked.kept[pruned.masked.graph.trace.ids_of(index, layer.filters)]


def assert_close(a: Weights, b: Weights) -> None:
    for (i, x), (j, y) in zip(arrays_of(a), arrays_of(b), strict=True):
        assert i == j
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


@given(pruning_tasks())
@examples(80)
def test_channels_then_layers_is_both_at_once(task: Task) -> None:
    netdef, weights, plan = task
    at_once = apply(netdef, weights, plan)
    channels = applied(netdef, weights, plan.masks)
    removed = tuple(channels.index_map[shortcut] for shortcut in plan.removed)
    for shortcut in removed:
        blocks_at(channels.netdef, [shortcut])
    then_layers = applied(channels.netdef, channels.weights, removed=removed)
    assert format_netdef(then_layers.netdef) == format_netdef(at_once.netdef)
    assert_close(then_layers.weights, at_once.weights)


def test_references_keep_their_form_when_a_block_before_them_is_removed() -> None:
    layers = cbl(4) + BLOCK + "from=-3\n" + BLOCK + "from = 3 \n[route]\nlayers = -1, 3,0\n" + cbl(4)
    netdef = parse_netdef(NET + layers + HEAD)
    pruned = applied(netdef, with_gammas(trace_groups(netdef), {}), removed=(3,))
    text = format_netdef(pruned.netdef)
    assert "from = 0 \n" in text
    assert "layers = -1,0,0\n" in text
    assert [layer.inputs for layer in pruned.netdef.layers[3:5]] == [(2, 0), (3, 0, 0)]


def test_a_reference_to_a_removed_shortcut_means_its_skip() -> None:
    layers = cbl(4) + BLOCK + "from=-3\n" + BLOCK + "from=-3\n[route]\nlayers=-4,6\n" + cbl(4)
    netdef = parse_netdef(NET + layers + HEAD)
    weights = with_gammas(trace_groups(netdef), {})
    assert applied(netdef, weights, removed=(3, 6)).netdef.layers[1].inputs == (0, 0)
    assert applied(netdef, weights, removed=(6,)).netdef.layers[4].inputs == (3, 3)


def test_nested_blocks_are_removed_together_or_alone() -> None:
    layers = cbl(4) + cbl(4) + cbl(4) + ADD + "from=-2\n" + ADD + "from=0\n" + cbl(4)
    netdef = parse_netdef(NET + layers + HEAD)
    weights = with_gammas(trace_groups(netdef), {})
    kinds = [[layer.kind for layer in applied(netdef, weights, removed=r).netdef.layers] for r in ((3,), (4,), (3, 4))]
    assert [len(k) for k in kinds] == [6, 4, 4]
    assert kinds[1] == kinds[2]


def test_a_reader_that_no_longer_follows_its_source_gets_a_route() -> None:
    side = "[route]\nlayers=0\n" + cbl(3)
    block = "[route]\nlayers=0\n" + cbl(4) + ADD + "from=0\n"
    layers = cbl(4) + side + block + cbl(4) + "[route]\nlayers=-1,2\n" + cbl(2)
    text = (NET + layers + HEAD).replace("\n", "\r\n")
    netdef = parse_netdef(text)
    pruned = applied(netdef, with_gammas(trace_groups(netdef), {}), removed=(5,))
    kinds = [layer.kind for layer in pruned.netdef.layers]
    assert kinds[:5] == ["convolutional", "route", "convolutional", "route", "convolutional"]
    assert pruned.netdef.layers[3].inputs == (0,)
    assert format_netdef(pruned.netdef).count("\r\n") == format_netdef(pruned.netdef).count("\n")


def test_a_depthwise_convolution_loses_groups_and_filters() -> None:
    graph = graph_of(cbl(4) + cbl(8, groups=4) + cbl(4))
    masks = (ChannelMask(graph.group(0).id, np.array([True, False, True, False])),)
    pruned = applied(graph.netdef, with_gammas(graph, {}), masks).netdef.convolution(1)
    assert (pruned.filters, pruned.groups) == (4, 2)


def test_a_grouped_convolution_keeps_its_groups() -> None:
    graph = graph_of(cbl(8) + cbl(8, groups=2) + cbl(4))
    masks = (ChannelMask(graph.group(0).id, np.array([1, 1, 0, 0, 0, 1, 0, 1], bool)),)
    weights = with_gammas(graph, {})
    pruned = applied(graph.netdef, weights, masks)
    assert pruned.netdef.convolution(1).groups == 2
    kernel, old = pruned.weights.conv(1).weight, weights.conv(1).weight
    np.testing.assert_array_equal(kernel[:4], old[:4][:, [0, 1]])
    np.testing.assert_array_equal(kernel[4:], old[4:][:, [1, 3]])


@pytest.mark.parametrize("seen", [0, 7, 2**40])
def test_the_header_is_kept(seen: int) -> None:
    graph = graph_of(cbl(4))
    weights = with_gammas(graph, {})
    header = replace(weights.header, seen=seen)
    assert applied(graph.netdef, Weights(header, weights.records)).weights.header == header
