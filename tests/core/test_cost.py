"""Costs: parameters as in the weights file, BFLOPs as Darknet prints them."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given

from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.records import Weights
from prune.graph.cost import layer_costs, network_cost
from tests.counted_macs import macs
from tests.shared import REPOSITORY
from tests.strategies import examples, networks


@pytest.mark.parametrize(
    ("name", "side", "bflops"),
    [
        ("yolov3", 416, 65.879),
        ("yolov3-tiny", 416, 5.571),
        ("yolov3-spp", 608, 141.53),
        ("yolov4", 608, 128.46),
        ("yolov4-tiny", 416, 6.910),
    ],
)
def test_bflops_are_those_that_darknet_prints(name: str, side: int, bflops: float) -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")
    digits = len(str(bflops).split(".")[1])
    assert network_cost(netdef, side, side).bflops == pytest.approx(bflops, abs=0.51 * 10**-digits + 0.0005)


def test_yolov3_has_its_known_size() -> None:
    cost = network_cost(read_netdef(REPOSITORY / "cfg" / "yolov3.cfg"))
    assert (cost.parameters, cost.weights_bytes) == (62_001_757, 248_007_048)
    assert (cost.channels, cost.layers) == (26_304, 107)


@given(networks())
@examples(30)
def test_parameters_are_the_floats_of_the_weights(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network
    assert network_cost(netdef).parameters == weights.floats
    costs = layer_costs(netdef)
    assert all(costs[index].parameters == record.floats for index, record in weights.records.items())


@given(networks())
@examples(30)
def test_macs_count_every_product_of_a_convolution(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network
    costs = layer_costs(netdef)
    products = 0
    for layer in netdef.convolutions:
        owner = layer.index if layer.share is None else layer.share
        products += np.size(weights.conv(owner).weight) * prod(costs[layer.index].shape[1:])
    assert macs(netdef) == products


NET = "[net]\nwidth=8\nheight=4\n[convolutional]\nfilters=6\nactivation=linear\n"


@pytest.mark.parametrize(
    ("section", "flops"),
    [
        ("[connected]\noutput=5\nactivation=linear\n", 2 * 5 * 6 * 32),
        ("[local_avgpool]\nsize=3\nstride=2\n", 9 * 6 * 8),
        ("[maxpool]\nsize=2\nmaxpool_depth=1\nout_channels=2\n", 4 * 6 * 32),
        ("[shortcut]\nfrom=-1,-1\n", 2 * 6 * 32),
        ("[shortcut]\nfrom=-1\nweights_type=per_feature\n", 2 * 6 * 32),
        ("[upsample]\n", 0),
        ("[avgpool]\n", 0),
        ("[softmax]\n", 0),
        ("[reorg3d]\nstride=2\n", 0),
        ("[route]\nlayers=-1\n", 0),
    ],
)
def test_each_kind_of_layer_counts_as_in_darknet(section: str, flops: int) -> None:
    assert layer_costs(parse_netdef(NET + section))[1].flops == flops


def test_a_shared_kernel_computes_but_takes_no_room() -> None:
    same = "[convolutional]\nfilters=3\nactivation=linear\n"
    netdef = parse_netdef("[net]\nwidth=8\nheight=4\n" + same + same + "share_index=-1\n")
    first, second = layer_costs(netdef)
    assert (first.parameters, second.parameters) == (12, 0)
    assert first.flops == second.flops == 2 * 9 * 32
    assert macs(netdef) == 2 * 9 * 32
