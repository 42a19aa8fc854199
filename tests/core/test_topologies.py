"""What real cfgs are made of, part by part: it is prunable, cut as the cfg language can express it, and cut exactly."""

from __future__ import annotations

import numpy as np
import pytest

from prune.darknet.layers import Connected, Convolutional, Maxpool, Shortcut
from prune.darknet.netdef import parse_netdef, read_netdef
from prune.darknet.weights import random_weights
from prune.graph.blocks import find_blocks, removable_blocks
from prune.graph.channels import EVERYTHING, ChannelGraph, trace_groups
from prune.graph.scope import TIES, Scope
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.plan.layer import LayerPolicy, plan_layers, rank_blocks
from prune.plan.types import PrunePlan, digest
from prune.surgery.apply import apply
from tests.absorbing import deaden
from tests.absorbing_tasks import AGAIN, EXACT, WIDE, task_of
from tests.given_gammas import scores_of
from tests.shared import SHARED, needs_shared
from tests.small_cfgs import ADD, HEAD, NET, cbl, graph_of
from tests.strategies import tame_weights

EIGHT = cbl(8, size=3, pad=1)
BARE = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
POOL = "[maxpool]\nsize=1\nstride=1\nmaxpool_depth=1\nout_channels=3\n"
DEPTHWISE = cbl(4, groups=4, size=3, pad=1)
SQUEEZE = "[avgpool]\n[convolutional]\nfilters=4\nactivation=logistic\n[scale_channels]\nfrom=-3\n"


def slots(graph: ChannelGraph, producer: int) -> list[int]:
    return list(graph.group(producer).members[producer])


def test_a_reorg_of_old_cuts_whole_runs_and_a_reorg3d_single_channels() -> None:
    for kind, expected in (("reorg", [0, 0, 0, 0, 1, 1, 1, 1]), ("reorg3d", list(range(8)))):
        graph = graph_of(EIGHT + f"[{kind}]\nstride=2\n" + cbl(4))
        assert slots(graph, 0) == expected
        assert graph.group(0).frozen is None


def test_runs_of_a_reorg_may_span_two_producers() -> None:
    graph = graph_of(cbl(6) + cbl(2) + "[route]\nlayers=0,1\n[reorg]\nstride=2\n" + cbl(4))
    assert graph.group(0).producers == (0, 1)
    assert (slots(graph, 0), slots(graph, 1)) == ([0, 0, 0, 0, 1, 1], [1, 1])


def test_a_reverse_reorg_and_a_pool_over_depth_tie_the_channels_they_join() -> None:
    assert slots(graph_of(EIGHT + "[reorg]\nstride=2\nreverse=1\n" + cbl(4)), 0) == [0, 1, 0, 1, 0, 1, 0, 1]
    assert slots(graph_of(EIGHT + POOL + cbl(4)), 0) == [0, 1, 2, 0, 1, 2, 0, 1]


def test_a_run_lives_while_any_of_its_channels_does() -> None:
    layers = EIGHT + "[reorg]\nstride=2\n" + cbl(4)
    assert scores_of(layers, {0: [1, 5, 1, 1, 0.1, 0.2, 0.3, 0.2]}) == [5, 0.3]
    assert scores_of(EIGHT + POOL + cbl(4), {0: [1, 2, 3, 4, 1, 1, 1, 5]}) == [4, 5, 3]


@pytest.mark.parametrize(
    ("layers", "producer"),
    [
        (cbl(4) + "[route]\nlayers=-1,-1\n[route]\nlayers=-1\ngroups=2\n" + cbl(3), 0),
        (EIGHT + cbl(8, groups=4) + "[route]\nlayers=0\n[route]\nlayers=-1\ngroups=2\n" + cbl(3), 0),
        (EIGHT + "[reorg]\nstride=2\n[route]\nlayers=-1\ngroups=2\n" + cbl(3), 0),
        (
            EIGHT + "[route]\nlayers=0\ngroups=2\n" + cbl(4, groups=2) + "[route]\nlayers=0\ngroups=2\ngroup_id=1\n"
            "[shortcut]\nfrom=-3\n" + cbl(4),
            0,
        ),
    ],
)
def test_constraints_that_imply_each_other_freeze_nothing(layers: str, producer: int) -> None:
    graph = graph_of(layers)
    assert graph.group(producer).frozen is None
    weights = tame_weights(graph.netdef, 0)
    plan = plan_channels(graph, weights, ChannelPolicy(percent=0.9))
    assert any(not mask.keep.all() for mask in plan.masks if mask.group == graph.group(producer).id)
    apply(graph.netdef, weights, plan)


@pytest.mark.parametrize(
    ("layers", "cut"),
    [
        (WIDE + "[local_avgpool]\nsize=2\nstride=2\n" + WIDE, {0: [1, 2]}),
        (WIDE + "[reorg3d]\nstride=2\n" + WIDE, {0: [0, 3]}),
        (EIGHT + "[reorg]\nstride=2\n" + WIDE, {0: [1]}),
        (EIGHT + POOL + WIDE, {0: [0, 2]}),
        (WIDE + "[connected]\noutput=5\nactivation=relu\nbatch_normalize=1\n" + cbl(3), {0: [1], 1: [0, 3]}),
        (WIDE + "[maxpool]\nsize=2\nstride=2\n[connected]\noutput=5\nactivation=linear\n" + cbl(3), {0: [1, 2]}),
        (WIDE + BARE + "[shortcut]\nfrom=0\nactivation=mish\n" + WIDE, {}),
        (EIGHT + cbl(8, groups=2, size=3, pad=1) + WIDE, {0: [0, 7], 1: [3, 4]}),
    ],
)
def test_constants_pass_the_rarer_layers(layers: str, cut: dict[int, list[int]]) -> None:
    task = task_of(layers, cut)
    pruned = task.pruned()
    assert pruned.notes == ()
    assert task.deviation(pruned) <= EXACT


@pytest.mark.parametrize("kind", ["per_feature", "per_channel"])
@pytest.mark.parametrize("normalization", ["none", "relu", "softmax"])
def test_a_weighted_shortcut_weighs_constants_and_loses_its_weights_of_cut_channels(
    kind: str, normalization: str
) -> None:
    weighted = f"{ADD}from=0,1\nweights_type={kind}\nweights_normalization={normalization}\n"
    task = task_of(WIDE + WIDE + WIDE + weighted + WIDE, {0: [1, 2]})
    pruned = task.pruned()
    assert task.deviation(pruned) <= EXACT
    before, after = task.weights.shortcut(3).weights, pruned.weights.shortcut(3).weights
    np.testing.assert_array_equal(after, before if kind == "per_feature" else before[:, [0, 3]])


def test_outputs_of_every_kind_are_written_under_their_own_key() -> None:
    layers = EIGHT + POOL + "[connected]\nbatch_normalize=1\noutput=5\nactivation=leaky\n" + cbl(3)
    pruned = task_of(layers, {0: [1], 2: [0, 2]}).pruned().netdef
    first, pool, connected, *_ = pruned.layers
    assert isinstance(first, Convolutional)
    assert isinstance(pool, Maxpool)
    assert isinstance(connected, Connected)
    assert (first.filters, pool.depth, connected.filters) == (5, 2, 3)


def test_constants_that_a_reorg_mixes_are_named() -> None:
    layers = EIGHT + "[maxpool]\nsize=2\nstride=2\npadding=0\n"  # 16 × 16 pixels to 8 × 8, of which 6 × 6 are left
    task = task_of(
        layers + "[convolutional]\nfilters=8\nsize=3\nbatch_normalize=1\nactivation=leaky\n[reorg]\nstride=2\n" + WIDE,
        {2: [1]},
    )
    (note,) = task.pruned().notes
    assert "layer 3 [reorg]: 8 outputs mix different constants" in note


BLOCKS = {
    "Darknet": cbl(2) + cbl(4, size=3, pad=1) + ADD + "from=-3\n",
    "one layer": WIDE + ADD + "from=-2\n",
    "bottleneck": cbl(2) + cbl(2, size=3, pad=1) + cbl(4) + ADD + "from=-4\n",
    "four layers": WIDE * 4 + ADD + "from=-5\n",
    "inverted": cbl(8) + cbl(8, groups=8, size=3, pad=1) + cbl(4) + "[dropout]\n" + ADD + "from=-5\n",
    "depthwise end": WIDE + DEPTHWISE + ADD + "from=-3\n",
    "squeeze inside": WIDE + SQUEEZE + cbl(4) + ADD + "from=-6\n",
    "ResNet": cbl(2) + WIDE + "[shortcut]\nfrom=-3\nactivation=leaky\n",
    "ResNet of mish": cbl(2) + WIDE + "[shortcut]\nfrom=-3\nactivation=mish\n",
    "weighted": WIDE + ADD + "from=-2\nweights_type=per_channel\nweights_normalization=softmax\n",
    "weighted, activated": WIDE + "[shortcut]\nfrom=-2\nweights_type=per_feature\nactivation=relu\n",
    "two bodies": WIDE + WIDE + ADD + "from=-2,-3\n",
    "from names the body": cbl(2) + WIDE + "[route]\nlayers=-3\n" + ADD + "from=-2\n",
    "branches": cbl(2) + "[route]\nlayers=-2\n" + cbl(2) + "[route]\nlayers=-1,-3\n" + cbl(4) + ADD + "from=-6\n",
    "split stage": "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + (cbl(2) + cbl(2) + ADD + "from=-3\n") * 2 + WIDE,
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("seed", range(2))
def test_every_kind_of_block_is_removed_without_a_trace(name: str, seed: int) -> None:
    layers = WIDE + (BLOCKS[name] * 2) + WIDE
    removable = [block.shortcut for block in removable_blocks(parse_netdef(NET + layers + HEAD))]
    assert len(removable) == (4 if name == "split stage" else 2)
    for removed in ((removable[0],), (removable[-1],), tuple(removable)):
        task = task_of(layers, {0: [0, 3]}, removed, seed)
        pruned = task.pruned()
        assert pruned.notes == ()
        assert task.deviation(pruned) <= EXACT
        left = sum(isinstance(layer, Shortcut) for layer in pruned.netdef.layers)
        assert left == len(removable) - len(removed)


def test_a_block_that_leaves_two_skips_leaves_their_sum() -> None:
    layers = WIDE + WIDE + "[route]\nlayers=0\n" + WIDE + WIDE + ADD + "from=-3,1\n[route]\nlayers=-1,1\n" + WIDE
    block = find_blocks(parse_netdef(NET + layers + HEAD))[0]
    assert (block.body, block.skips, block.shortcut_stays, block.reason) == ((3, 4), (2, 1), True, None)
    task = task_of(layers, {0: [2]}, (5,))
    pruned = task.pruned()
    assert task.deviation(pruned) <= EXACT
    assert [layer.inputs for layer in pruned.netdef.layers if isinstance(layer, Shortcut)] == [(2, 1)]


def test_what_remains_of_a_shortcut_with_an_activation_is_a_depthwise_convolution() -> None:
    task = task_of(WIDE + BLOCKS["ResNet"] + WIDE, {0: [1]}, (3,))
    pruned = task.pruned()
    layer = pruned.netdef.convolution(pruned.index_map[3])
    assert (layer.filters, layer.groups, layer.size, layer.activation, layer.batch_normalize) == (
        3,
        3,
        1,
        "leaky",
        False,
    )
    record = pruned.weights.conv(layer.index)
    np.testing.assert_array_equal(record.weight, np.ones((3, 1, 1, 1)))
    assert record.bias.any()


TWIN = cbl(4, size=3, pad=1, share_index=1)
HALF = "[shortcut]\nfrom=1,0\nweights_type=per_feature\n"


@pytest.mark.parametrize(
    ("layers", "word"),
    [
        (cbl(4) + cbl(6) + ADD + "from=-2\n", "another shape"),
        (WIDE + WIDE + ADD + "from=-2\n" + cbl(6) + "[route]\nlayers=1\n" + cbl(2), "layer 1 of its body is also read"),
        (WIDE + EIGHT + WIDE + "[route]\nlayers=0\n" + WIDE * 2 + ADD + "from=2\n", "none of its inputs is computed"),
        (
            WIDE + WIDE + AGAIN + TWIN + "[route]\nlayers=1\n" + ADD + "from=0\n[route]\nlayers=-1,3\n",
            "layer 3 uses the",
        ),
        (WIDE + WIDE + AGAIN + WIDE + HALF + "[route]\nlayers=-1,1\n", "multiplies the skips"),
    ],
)
def test_a_block_that_cannot_be_removed_is_named_with_the_reason(layers: str, word: str) -> None:
    reasons = [block.reason for block in find_blocks(parse_netdef(NET + layers + cbl(2) + HEAD))]
    assert any(word in (reason or "") for reason in reasons), reasons


def test_shared_floats_are_referred_to_where_they_have_moved() -> None:
    twin = cbl(4, size=3, pad=1, share_index=-3)
    layers = WIDE + BLOCKS["one layer"] + WIDE + "[route]\nlayers=2\n" + "[dropout]\n" + twin + cbl(3)
    netdef = parse_netdef(NET + layers + HEAD)
    weights = tame_weights(netdef, 0)
    pruned = apply(netdef, weights, PrunePlan(digest(netdef, weights), (), (2,)))
    twins = [layer for layer in pruned.netdef.convolutions if layer.share is not None]
    assert [(layer.index, layer.share) for layer in twins] == [(4, 1)]
    assert "share_index=-3" in "".join(line.text for line in twins[0].section.lines)


ZOO = sorted((SHARED / "cfg-zoo").glob("*.cfg")) if SHARED.is_dir() else []
BLOCKLESS = {"yolov2", "yolov2-tiny", "yolov3-tiny", "yolov3-tiny_3l", "yolov4-tiny", "yolov4-tiny-3l", "yolov7-tiny"}
REMOVABLE = {"enet-coco": 9, "yolov3-tiny-prn": 1, "yolov4x-mish": 29}


@needs_shared
@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_in_the_wild_nothing_is_frozen_and_blocks_are_found(path: object) -> None:
    netdef = read_netdef(str(path))
    graph = trace_groups(netdef, EVERYTHING)
    assert graph.frozen_layers == ()
    name = netdef.path.rsplit("/", 1)[-1].removesuffix(".cfg")
    assert len(removable_blocks(netdef)) == (0 if name in BLOCKLESS else REMOVABLE.get(name, 23))


@needs_shared
@pytest.mark.parametrize("name", ["enet-coco", "yolov3-tiny-prn", "yolov4-tiny-3l", "yolov7-tiny"])
def test_small_networks_of_the_wild_are_cut_by_every_policy(name: str) -> None:
    netdef = read_netdef(SHARED / "cfg-zoo" / f"{name}.cfg")
    weights = random_weights(netdef, np.random.default_rng(0))
    for tie in TIES:
        graph = trace_groups(netdef, Scope(tie))
        for percent in (0.3, 0.6, 0.85):
            plan = plan_channels(graph, weights, ChannelPolicy(percent=percent))
            pruned = apply(netdef, weights, plan)
            assert pruned.weights.floats < weights.floats
    count = len(rank_blocks(graph, weights))
    layers = apply(netdef, weights, plan_layers(graph, weights, LayerPolicy(shortcuts=count)))
    assert len(layers.netdef.layers) == len(netdef.layers) - sum(len(block.layers) for block in layers.masked.blocks)


SMALL = ["yolov2-tiny", "yolov3-tiny", "yolov3-tiny-prn", "yolov4-tiny-3l", "yolov7-tiny", "enet-coco"]


@needs_shared
@pytest.mark.parametrize("name", SMALL)
def test_what_is_dead_in_a_network_of_the_wild_is_cut_without_a_trace(name: str) -> None:
    netdef = (
        read_netdef(SHARED / "cfg-zoo" / f"{name}.cfg").with_net_option("width", "64").with_net_option("height", "64")
    )
    graph, weights = trace_groups(netdef, EVERYTHING), tame_weights(netdef, 0)
    plans = [
        plan_channels(graph, weights, ChannelPolicy(percent=0.6, rule="share")),
        plan_layers(graph, weights, LayerPolicy(shortcuts=len(rank_blocks(graph, weights)))),
    ]
    for plan in plans:
        task = deaden(netdef, weights, plan)
        pruned = task.pruned()
        # After a gate that is not dead (squeeze and excitation) a constant is not constant: cut channels count as 0.
        assert bool(pruned.notes) == (name == "enet-coco" and plan is plans[0])
        if not pruned.notes:
            assert task.deviation(pruned) <= EXACT
    assert bool(task.plan.removed) == (name in ("yolov3-tiny-prn", "enet-coco"))
