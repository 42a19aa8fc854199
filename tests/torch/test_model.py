"""The module computes what Darknet would: against the numpy oracle, flop counters and itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from torch.utils.flop_counter import FlopCounterMode

from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.weights import Header, Weights, random_weights
from prune.errors import CfgError, PlanError, WeightsError
from prune.graph.cost import macs, network_cost
from prune.model.build import build
from prune.model.state import load_weights, to_weights
from prune.verify import WeightsDomain, outputs
from tests import oracle
from tests.absorbing import random_image
from tests.core.test_channels import HEAD, NET, cbl
from tests.core.test_weights import assert_same
from tests.shared import REPOSITORY
from tests.strategies import as_float32, examples, networks


@given(networks())
@examples(40)
def test_the_forward_pass_is_that_of_the_oracle(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network
    image = random_image()
    expected = oracle.forward(netdef, weights, image)
    found = outputs(netdef, WeightsDomain(torch.from_numpy(image[None]), weights))
    numbered = dict(zip(expected, (x[0].numpy() for x in found), strict=True))
    assert oracle.deviation(expected, numbered) <= 1e-12


@given(networks())
@examples(30)
def test_the_module_is_the_same_forward_pass(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network[0], as_float32(network[1])
    model = build(netdef).eval()
    load_weights(model, weights)
    imgs = torch.from_numpy(random_image()[None])
    with torch.no_grad():
        found = model.double()(imgs)
    heads = [head.index for head in netdef.yolo_heads]
    expected = oracle.forward(netdef, weights, random_image())
    assert len(found) == len(heads)
    for index, raw in zip(heads, found, strict=True):
        np.testing.assert_allclose(raw[0].numpy(), expected[index], rtol=0, atol=1e-6 * np.abs(expected[index]).max())


@given(networks())
@examples(30)
def test_weights_pass_through_the_module_bit_for_bit(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network[0], as_float32(network[1])
    model = build(netdef)
    load_weights(model, weights)
    assert_same(to_weights(model, weights.header), weights)


def test_what_the_module_gives_out_is_a_copy() -> None:
    netdef = parse_netdef(NET + cbl(4) + HEAD)
    model = build(netdef)
    weights = to_weights(model)
    weights.records[0].bias[:] = 7
    assert model.bn_of(0).bias.abs().max() == 0
    assert weights.header == Header()


def test_partial_weights_leave_the_rest_and_wrong_shapes_are_refused() -> None:
    netdef = parse_netdef(NET + cbl(4) + HEAD, "net.cfg")
    model, weights = build(netdef), random_weights(netdef, np.random.default_rng(0))
    before = model.block(1).conv.weight.clone()
    load_weights(model, Weights(Header(), {0: weights.records[0]}))
    assert torch.equal(model.block(1).conv.weight, before)
    wrong = replace(weights.records[0], weight=weights.records[0].weight[:, :2])
    with pytest.raises(WeightsError, match=r"net\.cfg: layer 0 needs an array of shape \(4, 3, 1, 1\)"):
        load_weights(model, Weights(Header(), {0: wrong}))


def test_asking_for_a_batch_norm_that_is_not_there_is_an_error() -> None:
    model = build(parse_netdef(NET + cbl(4) + HEAD))
    assert model.bn_of(0).num_features == 4
    for index in (1, 2):
        with pytest.raises(PlanError):
            model.bn_of(index)


def test_a_cfg_whose_layers_do_not_fit_is_refused() -> None:
    with pytest.raises(CfgError, match="reads 4 channels"):
        build(parse_netdef(NET + cbl(4) + "[yolo]\nanchors=1,2\nclasses=1\n"))


@pytest.mark.parametrize("name", ["toy", "yolov3-nano", "yolov3-tiny", "yolov4-tiny", "yolov3"])
def test_flop_counters_see_twice_our_macs(name: str) -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")
    with torch.device("meta"):
        model, imgs = build(netdef).eval(), torch.empty(1, 3, 416, 416)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(imgs)
    assert counter.get_total_flops() == 2 * macs(netdef, 416, 416)


@pytest.mark.parametrize("name", ["toy", "yolov3-nano", "yolov4-tiny", "yolov3-spp", "yolov4"])
def test_parameters_are_those_of_the_weights_file(name: str) -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")
    with torch.device("meta"):
        model = build(netdef)
    floats = sum(p.numel() for p in model.parameters())
    floats += sum(b.numel() for b in model.buffers() if b.dim() > 0)
    assert floats == network_cost(netdef).parameters


def test_dropout_acts_in_training_alone() -> None:
    netdef = parse_netdef(NET + cbl(4) + "[dropout]\nprobability=0.5\n" + HEAD)
    model, imgs = build(netdef), torch.rand(2, 3, 16, 16)
    assert not torch.equal(model(imgs)[0], model(imgs)[0])
    model.eval()
    assert torch.equal(model(imgs)[0], model(imgs)[0])
