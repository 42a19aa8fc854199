"""Residual blocks: found from who reads what, and only removable where the cfg can express it."""

from __future__ import annotations

import pytest
from hypothesis import given

from prune.darknet.layers import Route
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.graph.blocks import find_blocks, removable_blocks
from tests.shared import REPOSITORY
from tests.small_cfgs import NET, cbl, graph_of
from tests.strategies import examples, netdefs

ADD = "[shortcut]\nactivation=linear\n"


@pytest.mark.parametrize(("name", "blocks"), [("yolov3", 23), ("yolov3-spp", 23), ("yolov4", 23), ("yolov3-nano", 7)])
def test_a_known_network_has_its_removable_blocks(name: str, blocks: int) -> None:
    found = removable_blocks(read_netdef(REPOSITORY / "cfg" / f"{name}.cfg"))
    assert len(found) == blocks
    assert all(len(block.layers) == 3 and len(block.last_convolutions) == 1 for block in found)


def test_a_block_reads_its_skip_alone() -> None:
    (block,) = find_blocks(graph_of(cbl(4) + cbl(2) + cbl(4) + ADD + "from=-3\n").netdef)
    assert (block.shortcut, block.skip, block.body) == (3, 0, (1, 2))
    assert (block.body_outputs, block.last_convolutions) == ((2,), (2,))
    assert block.reason is None


def test_nested_blocks_are_both_found() -> None:
    layers = cbl(4) + cbl(4) + cbl(4) + ADD + "from=-2\n" + ADD + "from=0\n"
    inner, outer = find_blocks(graph_of(layers).netdef)
    assert (inner.skip, inner.body, inner.last_convolutions) == (1, (2,), (2,))
    assert (outer.skip, outer.body, outer.last_convolutions) == (0, (1, 2, 3), (1, 2))


@pytest.mark.parametrize(
    ("layers", "word"),
    [
        (cbl(4) + cbl(6) + ADD + "from=-2\n", "another shape"),
        (cbl(4) + "[maxpool]\nsize=3\nstride=1\n" + ADD + "from=-2\n", "passes the skip"),
    ],
)
def test_a_block_that_cannot_be_removed_says_why(layers: str, word: str) -> None:
    (block,) = find_blocks(graph_of(layers).netdef)
    assert word in (block.reason or "")


@pytest.mark.parametrize(
    "layers",
    [
        cbl(4) + cbl(2) + cbl(4) + ADD + "from=-3\n[route]\nlayers=1\n",  # the body is read elsewhere
        cbl(4) + ADD + "from=-1\n",  # nothing between
        cbl(4) + cbl(4) + "[route]\nlayers=0,1\n" + cbl(4) + ADD + "from=-3\n[route]\nlayers=-1,1\n",
    ],
)
def test_what_is_not_a_block_is_not_reported_as_one(layers: str) -> None:
    assert removable_blocks(graph_of(layers).netdef) == ()


def test_a_shortcut_that_ends_the_network_is_kept() -> None:
    (block,) = find_blocks(parse_netdef(NET + cbl(4) + cbl(4) + ADD + "from=-2\n"))
    assert block.reason == "its shortcut is an output of the network"


@given(netdefs())
@examples(80)
def test_only_the_shortcut_reads_a_body_and_a_body_reads_only_the_skip(netdef: NetDef) -> None:
    consumers = netdef.consumers()
    for block in find_blocks(netdef):
        inside = {*block.body, block.shortcut}
        assert all(set(consumers[index]) <= inside for index in block.body)
        read = {source for index in block.body for source in netdef.layers[index].inputs}
        assert {origin(netdef, index) for index in read - inside} <= {origin(netdef, index) for index in block.skips}
        assert bool(block.body) or block.reason is not None


def origin(netdef: NetDef, index: int) -> int:
    """The layer that a route of one whole layer repeats."""
    layer = netdef.layers[index]
    whole = isinstance(layer, Route) and len(layer.inputs) == layer.groups == 1
    return origin(netdef, layer.inputs[0]) if whole else index
