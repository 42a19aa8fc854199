"""Channel tracing: what is cut together, what cannot be cut and why, and yolov3's known numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given

from prune.darknet.layers import Gate, Shortcut
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import shapes
from prune.errors import PlanError, UsageError
from prune.graph.channels import EVERYTHING, ChannelGraph, PruneGroup, trace_groups
from prune.graph.scope import Scope, TieMode
from tests.small_cfgs import cbl, graph_of, yolov3
from tests.strategies import examples, netdefs


def tied(graph: ChannelGraph) -> list[PruneGroup]:
    return [group for group in graph.groups if group.shortcuts]


def test_yolov3_has_its_known_groups() -> None:
    graph = trace_groups(yolov3())
    with_cbl = [group for group in graph.groups if set(group.producers) & set(graph.cbl)]
    assert (len(yolov3().layers), len(graph.cbl), len(graph.conv), len(with_cbl)) == (107, 72, 3, 49)
    sizes = Counter((group.width, len(group.producers)) for group in tied(graph))
    assert sizes == {(64, 2): 1, (128, 3): 1, (256, 9): 1, (512, 9): 1, (1024, 5): 1}
    assert sum(group.frozen is None for group in with_cbl) == 47
    assert (graph.channels(graph.prunable_layers), graph.channels(graph.cbl)) == (25_920, 26_304)
    assert graph.frozen_layers == (84, 96)


def test_without_protection_all_of_yolov3_can_be_cut() -> None:
    graph = trace_groups(yolov3(), EVERYTHING)
    assert graph.channels(graph.prunable_layers) == 26_304
    assert graph.frozen_layers == ()


def test_freezing_ties_leaves_yolov3_its_untied_layers() -> None:
    graph = trace_groups(yolov3(), Scope("freeze"))
    assert all(group.frozen is not None for group in tied(graph))
    assert graph.channels(graph.prunable_layers) == 25_920 - (2 * 64 + 3 * 128 + 9 * 256 + 9 * 512 + 5 * 1024)


def test_group_numbers_do_not_depend_on_tie_and_protection() -> None:
    ties: tuple[TieMode, ...] = ("union", "freeze")
    scopes = [Scope(tie, protect) for tie in ties for protect in ((), ("upsample",))]
    graphs = [trace_groups(yolov3(), scope) for scope in scopes]
    producers = [[group.producers for group in graph.groups] for graph in graphs]
    assert all(found == producers[0] for found in producers)


def test_a_shortcut_of_unequal_widths_ties_the_common_first_channels() -> None:
    graph = graph_of(cbl(6) + cbl(4) + "[shortcut]\nfrom=-2\nactivation=linear\n")
    group = graph.group(0)
    assert group.producers == (0, 1)
    assert group.width == 6
    assert list(group.members[1]) == [0, 1, 2, 3]
    wide = graph_of(cbl(4) + cbl(6) + "[shortcut]\nfrom=-2\nactivation=linear\n").group(0)
    assert (wide.width, list(wide.members[0]), list(wide.members[1])) == (6, [0, 1, 2, 3], [0, 1, 2, 3, 4, 5])


def test_a_depthwise_convolution_with_a_multiplier_follows_its_input() -> None:
    group = graph_of(cbl(3) + cbl(6, groups=3)).group(1)
    assert group.width == 3
    assert list(group.members[1]) == [0, 0, 1, 1, 2, 2]


def test_a_grouped_convolution_needs_equal_parts_on_both_sides() -> None:
    graph = graph_of(cbl(4) + cbl(6, groups=2))
    for producer, parts in ((0, [[0, 1], [2, 3]]), (1, [[0, 1, 2], [3, 4, 5]])):
        assert [[list(part) for part in parts] for parts in graph.group(producer).equal] == [parts]


def test_a_split_of_a_concatenation_joins_its_producers() -> None:
    graph = graph_of(cbl(2) + cbl(6) + "[route]\nlayers=0,1\n[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + cbl(3))
    group = graph.group(0)
    assert group.producers == (0, 1)
    assert [list(part) for part in group.equal[0]] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_gate_is_tied_to_what_it_gates_and_needs_no_gamma() -> None:
    gate = "[avgpool]\n[convolutional]\nfilters=4\nactivation=logistic\n[scale_channels]\nfrom=-3\n"
    graph = graph_of(cbl(4) + gate + cbl(5))
    group = graph.group(0)
    assert group.producers == (0, 2)
    assert group.frozen is None
    assert graph.conv == (2, 5)


@pytest.mark.parametrize(
    ("layers", "producer", "word"),
    [
        (cbl(4), 1, "feeds the head at layer 2"),
        ("[convolutional]\nfilters=4\nactivation=leaky\n" + cbl(4), 0, "no member has a γ"),
        (cbl(3) + "[shortcut]\nfrom=-1\nactivation=linear\n" + cbl(3, groups=3), 3, "feeds the head"),
        (cbl(4) + "[upsample]\nstride=2\n", 0, "protected: feeds the upsample at layer 1"),
        (cbl(4) + cbl(4) + "[shortcut]\nfrom=-2\n", 0, "tied by the shortcut at layer 2"),
        (cbl(4) + cbl(4) + "[route]\nlayers=0\n", 1, "is an output of the network (layer 1)"),
        (cbl(4) + cbl(2) + "[route]\nlayers=0,1,0\n[route]\nlayers=-1\ngroups=2\n", 0, "share channels"),
        (cbl(6) + cbl(6, groups=2) + "[route]\nlayers=0\n" + cbl(6, groups=3), 0, "need different parts"),
        (cbl(3, groups=3), 0, "the network's image, or tied"),
        (cbl(4) + "[softmax]\n" + cbl(2), 0, "feeds the softmax at layer 1"),
        (cbl(4).replace("leaky", "normalize_channels"), 0, "divides by a sum over its channels"),
        (cbl(4) + cbl(1) + "[scale_channels]\nfrom=0\nscale_wh=1\n" + cbl(2), 1, "is the gate of all channels"),
        (cbl(4) + cbl(4) + "[route]\nlayers=0\n" + cbl(4, share_index=1) + cbl(2), 0, "layers 1 and 3 use the same"),
        (cbl(4) + cbl(4) + "[route]\nlayers=0\n" + cbl(4, share_index=-2) + cbl(2), 3, "layers 1 and 3 use the same"),
    ],
)
def test_a_frozen_group_says_why(layers: str, producer: int, word: str) -> None:
    graph = graph_of(layers, "freeze" if "tied by" in word else "union", ("upsample",))
    assert word in (graph.group(producer).frozen or "")


def test_unknown_ties_and_protections_are_refused() -> None:
    with pytest.raises(UsageError, match="--tie both"):
        Scope("both")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--protect route"):
        Scope(protect=("route",))


@given(netdefs())
@examples(60)
def test_the_lists_partition_the_convolutions(netdef: NetDef) -> None:
    graph = trace_groups(netdef)
    assert sorted((*graph.cbl, *graph.conv)) == [layer.index for layer in netdef.convolutions]
    assert sorted((*graph.prunable_layers, *graph.frozen_layers)) == list(graph.cbl)
    produced = sorted(index for group in graph.groups for index in group.producers)
    assert produced == [layer.index for layer in netdef.convolutions]


@given(netdefs())
@examples(60)
def test_every_output_has_as_many_ids_as_channels_and_every_slot_a_member(netdef: NetDef) -> None:
    graph = trace_groups(netdef)
    assert [len(ids) for ids in graph.trace.outputs] == [shape.channels for shape in shapes(netdef)]
    for group in graph.groups:
        slots = graph.slot_of[graph.group_of == group.id]
        assert sorted(set(slots.tolist())) == list(range(group.width))


@given(netdefs())
@examples(60)
def test_what_a_shortcut_adds_has_one_slot_per_channel(netdef: NetDef) -> None:
    graph = trace_groups(netdef)
    for layer in netdef.layers:
        if isinstance(layer, Shortcut) or (isinstance(layer, Gate) and not layer.scale_wh):
            first, *others = (graph.trace.outputs[source] for source in layer.inputs)
            for other in others:
                common = min(len(first), len(other))
                assert np.array_equal(graph.group_of[first[:common]], graph.group_of[other[:common]])
                assert np.array_equal(graph.slot_of[first[:common]], graph.slot_of[other[:common]])


def test_a_mask_that_fits_no_group_is_refused() -> None:
    graph = graph_of(cbl(4))
    with pytest.raises(PlanError, match="group 99"):
        graph.kept_ids({99: np.ones(4, bool)})
    with pytest.raises(PlanError, match="with 3 channels"):
        graph.kept_ids({1: np.ones(3, bool)})


@pytest.mark.parametrize(
    ("layers", "kinds"),
    [
        (cbl(4) + cbl(4) + "[shortcut]\nfrom=-2\n", ["add"]),
        (cbl(4) + cbl(8, groups=4), ["chain"]),
        (cbl(4) + cbl(4) + "[sam]\nfrom=-2\n", ["chain"]),
        (cbl(4) + "[maxpool]\nmaxpool_depth=1\nout_channels=2\n", ["fold"]),
        (cbl(4) + "[route]\nlayers=-1,-1\n", []),
    ],
)
def test_a_tie_says_what_made_it(layers: str, kinds: list[str]) -> None:
    graph = graph_of(layers + cbl(2))
    assert [tie.kind for tie in graph.trace.ties] == kinds


@given(netdefs())
@examples(30)
def test_what_a_layer_reads_is_what_its_first_input_writes(netdef: NetDef) -> None:
    trace = trace_groups(netdef).trace
    for layer, ids in zip(netdef.layers, trace.reads, strict=True):
        source = layer.inputs[0]
        expected = np.arange(netdef.net.channels) if source < 0 else trace.outputs[source]
        assert np.array_equal(ids, expected)
