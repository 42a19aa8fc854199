"""Costs: parameters as in the weights file, BFLOPs as Darknet prints them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from prune.darknet.netdef import NetDef, read_netdef
from prune.darknet.weights import Weights
from prune.graph.cost import layer_costs, macs, network_cost
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
    pixels = {index: costs[index].shape.height * costs[index].shape.width for index in weights.records}
    assert macs(netdef) == sum(np.size(record.weight) * pixels[i] for i, record in weights.records.items())
