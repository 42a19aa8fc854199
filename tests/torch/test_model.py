"""The module computes what Darknet would: against the numpy oracle, flop counters and itself."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from torch.utils.flop_counter import FlopCounterMode

from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.records import Header, ShortcutParams, Weights
from prune.darknet.weights import random_weights
from prune.errors import CfgError, PlanError, UsageError, WeightsError
from prune.graph.cost import network_cost
from prune.model.build import DarknetModel
from prune.model.state import load_weights, to_weights
from prune.train.optim import make_optimizer
from prune.train.settings import TrainSettings
from prune.verify.passes import WeightsDomain, outputs
from tests import oracle
from tests.absorbing import random_image
from tests.counted_macs import macs
from tests.shared import REPOSITORY
from tests.small_cfgs import HEAD, NET, cbl
from tests.strategies import as_float32, examples, networks
from tests.weight_pairs import assert_same


@given(networks())
@examples(40)
def test_the_forward_pass_is_that_of_the_oracle(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network
    image = random_image()
    expected = oracle.forward(netdef, weights, image)
    found = list(outputs(netdef, WeightsDomain(torch.from_numpy(image[None]), weights)).values())
    numbered = dict(zip(expected, (x[0].numpy() for x in found), strict=True))
    assert oracle.deviation(expected, numbered) <= 1e-12


@given(networks())
@examples(30)
def test_the_module_is_the_same_forward_pass(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network[0], as_float32(network[1])
    model = DarknetModel(netdef).eval()
    load_weights(model, weights)
    imgs = torch.from_numpy(random_image()[None])
    with torch.no_grad():
        found = model.double()(imgs)
    heads = [head.index for head in netdef.heads]
    expected = oracle.forward(netdef, weights, random_image())
    assert len(found) == len(heads)
    for index, raw in zip(heads, found, strict=True):
        np.testing.assert_allclose(raw[0].numpy(), expected[index], rtol=0, atol=1e-6 * np.abs(expected[index]).max())


@given(networks())
@examples(30)
def test_weights_pass_through_the_module_bit_for_bit(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network[0], as_float32(network[1])
    model = DarknetModel(netdef)
    load_weights(model, weights)
    assert_same(to_weights(model, weights.header), weights)


def test_what_the_module_returns_is_a_copy() -> None:
    netdef = parse_netdef(NET + cbl(4) + HEAD)
    model = DarknetModel(netdef)
    weights = to_weights(model)
    weights.conv(0).bias[:] = 7
    assert model.bn_of(0).bias.abs().max() == 0
    assert weights.header == Header()


def test_partial_weights_do_not_change_the_rest_and_wrong_shapes_are_refused() -> None:
    netdef = parse_netdef(NET + cbl(4) + HEAD, "net.cfg")
    model, weights = DarknetModel(netdef), random_weights(netdef, np.random.default_rng(0))
    before = model.block(1).conv.weight.clone()
    load_weights(model, Weights(Header(), {0: weights.records[0]}))
    assert torch.equal(model.block(1).conv.weight, before)
    wrong = replace(weights.conv(0), weight=weights.conv(0).weight[:, :2])
    with pytest.raises(WeightsError, match=r"net\.cfg: layer 0 needs an array of shape \(4, 3, 1, 1\)"):
        load_weights(model, Weights(Header(), {0: wrong}))


def test_a_missing_batch_norm_is_an_error() -> None:
    model = DarknetModel(parse_netdef(NET + cbl(4) + HEAD))
    assert model.bn_of(0).num_features == 4
    for index in (1, 2):
        with pytest.raises(PlanError):
            model.bn_of(index)


def test_a_cfg_whose_layers_do_not_fit_is_refused() -> None:
    with pytest.raises(CfgError, match="reads 4 channels"):
        DarknetModel(parse_netdef(NET + cbl(4) + "[yolo]\nanchors=1,2\nclasses=1\n"))


@pytest.mark.parametrize("name", ["toy", "yolov3-nano", "yolov3-tiny", "yolov4-tiny", "yolov3"])
def test_flop_counters_see_twice_our_macs(name: str) -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")
    with torch.device("meta"):
        model, imgs = DarknetModel(netdef).eval(), torch.empty(1, 3, 416, 416)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(imgs)
    assert counter.get_total_flops() == 2 * macs(netdef, 416, 416)


@pytest.mark.parametrize("name", ["toy", "yolov3-nano", "yolov4-tiny", "yolov3-spp", "yolov4"])
def test_parameters_are_those_of_the_weights_file(name: str) -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")
    with torch.device("meta"):
        model = DarknetModel(netdef)
    floats = sum(p.numel() for p in model.parameters())
    floats += sum(b.numel() for b in model.buffers() if b.dim() > 0)
    assert floats == network_cost(netdef).parameters


def test_dropout_acts_only_in_training() -> None:
    netdef = parse_netdef(NET + cbl(4) + "[dropout]\nprobability=0.5\n" + HEAD)
    model, imgs = DarknetModel(netdef), torch.rand(2, 3, 16, 16)
    assert not torch.equal(model(imgs)[0], model(imgs)[0])
    model.eval()
    assert torch.equal(model(imgs)[0], model(imgs)[0])


SHARED_TWICE = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=1\nactivation={}\nshare_index=1\nstride={}\n"


def test_a_shared_convolution_is_one_set_of_parameters() -> None:
    text = NET + cbl(4) + cbl(4) + SHARED_TWICE.format("mish", 2) + SHARED_TWICE.format("relu", 1)
    netdef = parse_netdef(text + HEAD)
    model = DarknetModel(netdef)
    single = DarknetModel(parse_netdef(NET + cbl(4) + cbl(4) + HEAD))
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in single.parameters())
    assert model.bn_of(3) is model.bn_of(1)
    assert list(to_weights(model).records) == [0, 1, 4]
    trained, imgs = copy.deepcopy(model), torch.rand(2, 3, 16, 16)
    optimizer = make_optimizer(trained, TrainSettings())
    stepped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(stepped) == sorted(id(p) for p in trained.parameters())
    trained(imgs)[0].square().sum().backward()
    optimizer.step()
    assert torch.equal(trained.block(2).conv.weight, trained.block(1).conv.weight)
    assert not torch.equal(trained.block(1).conv.weight, model.block(1).conv.weight)
    model.load_state_dict(trained.state_dict())
    assert_same(to_weights(model), to_weights(trained))


def test_a_weighted_shortcut_learns() -> None:
    shortcut = "[shortcut]\nfrom=-2\nweights_type=per_channel\nweights_normalization=softmax\nactivation=linear\n"
    netdef = parse_netdef(NET + cbl(4) + cbl(4) + shortcut + HEAD)
    model, imgs = DarknetModel(netdef), torch.rand(2, 3, 16, 16)
    weights = model.shortcut_weights(2)
    assert weights.shape == (2, 4)
    assert weights.eq(1).all()
    model(imgs)[0].square().sum().backward()
    assert weights.grad is not None
    assert weights.grad.abs().max() > 0
    with pytest.raises(PlanError, match="layer 1 is not a weighted shortcut"):
        model.shortcut_weights(1)
    wrong = ShortcutParams(np.ones((2, 3), np.float32))
    with pytest.raises(WeightsError, match=r"layer 2 needs an array of shape \(2, 4\)"):
        load_weights(model, Weights(Header(), {2: wrong}))


def test_a_layer_that_is_not_loaded_is_newly_initialised(tmp_path: Path) -> None:
    netdef = parse_netdef(NET + cbl(4) + cbl(4).replace("[convolutional]\n", "[convolutional]\ndontload=1\n") + HEAD)
    weights = random_weights(netdef, np.random.default_rng(0))
    rest = Weights(weights.header, {i: r for i, r in weights.records.items() if i != 1})
    model = DarknetModel(netdef)
    fresh = model.block(1).conv.weight.clone()
    load_weights(model, rest)
    assert torch.equal(model.block(1).conv.weight, fresh)
    assert_same(Weights(Header(), {0: to_weights(model).records[0]}), Weights(Header(), {0: weights.records[0]}))


def test_a_network_with_a_connected_layer_accepts_one_image_size() -> None:
    netdef = parse_netdef(NET + cbl(4) + "[connected]\noutput=6\nactivation=linear\n[region]\nanchors=1,1\nclasses=1\n")
    model = DarknetModel(netdef).eval()
    assert model(torch.rand(1, 3, 16, 16))[0].shape == (1, 6, 1, 1)
    with pytest.raises(UsageError, match=r"\[connected\] reads a map of 16x16, not 24x16"):
        model(torch.rand(1, 3, 16, 24))


@given(networks())
@examples(20)
def test_the_features_of_a_convolution_are_what_its_module_returns(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network[0], as_float32(network[1])
    model = DarknetModel(netdef).eval()
    load_weights(model, weights)
    seen: dict[int, torch.Tensor] = {}

    def watch(index: int) -> None:
        model.block(index).register_forward_hook(lambda module, args, output: seen.update({index: output.clone()}))

    indices = [layer.index for layer in netdef.convolutions]
    for index in indices:
        watch(index)
    imgs = torch.from_numpy(random_image()[None]).float()
    with torch.no_grad():
        model(imgs)
        expected = dict(seen)
        found = model.features(imgs, indices[::-1])
    assert len(found) == len(indices)
    for index, value in zip(indices[::-1], found, strict=True):
        assert torch.equal(value, expected[index])


def test_features_of_any_layer_have_the_requested_order_and_nothing_after_the_last_is_computed() -> None:
    shortcut = "[shortcut]\nfrom=-2\nactivation=linear\n"
    model = DarknetModel(parse_netdef(NET + cbl(4) + cbl(4) + shortcut + HEAD)).eval()
    calls: list[int] = []
    model.block(3).register_forward_hook(lambda module, args, output: calls.append(3))
    imgs = torch.rand(2, 3, 16, 16)
    added, first, second, twice = model.features(imgs, [2, 0, 1, 0])
    assert torch.equal(added, first + second)
    assert torch.equal(twice, first)
    assert calls == []
    (raw,) = model(imgs)
    assert torch.equal(model.features(imgs, [len(model.netdef.layers) - 1])[0], raw)  # a head's is its input


@pytest.mark.parametrize("index", [-1, 3, 99])
def test_features_of_a_missing_layer_are_refused(index: int) -> None:
    model = DarknetModel(parse_netdef(NET + cbl(4) + HEAD))
    with pytest.raises(PlanError, match=rf"there is no layer {index}; it has 3, from 0"):
        model.features(torch.rand(1, 3, 16, 16), [0, index])
