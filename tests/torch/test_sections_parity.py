"""Every section and every activation against plain loops written from Darknet's definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prune.darknet import layers
from prune.darknet.activations import ACTIVATIONS
from prune.darknet.netdef import parse_netdef
from prune.darknet.weights import read_weights, write_weights
from prune.model.activations import ACTIVATIONS as TENSOR_ACTIVATIONS
from prune.model.build import DarknetModel, ModuleDomain
from prune.model.state import load_weights, to_weights
from prune.verify.passes import WeightsDomain, outputs
from tests.section_cfgs import NET, SECTIONS, network
from tests.torch import reference
from tests.torch.reference_activations import activated
from tests.weight_pairs import assert_same


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_computes_what_darknets_loops_do(name: str) -> None:
    netdef, weights = network(SECTIONS[name])
    image = np.random.default_rng(1).standard_normal((3, 8, 8))
    imgs = torch.from_numpy(image[None])
    expected = reference.forward(netdef, weights, image)[-1]
    from_weights = list(outputs(netdef, WeightsDomain(imgs, weights)).values())[-1]
    model = DarknetModel(netdef).eval()
    load_weights(model, weights)
    assert_close(from_weights.numpy()[0], expected)
    from_module = list(outputs(netdef, ModuleDomain(model.double(), imgs)).values())[-1]
    assert_close(from_module.numpy()[0], expected)


def test_every_kind_of_layer_is_compared_with_darknets_loops() -> None:
    compared = {type(layer) for text in SECTIONS.values() for layer in parse_netdef(NET + text).layers}
    kinds = {kind for kind in vars(layers).values() if isinstance(kind, type) and issubclass(kind, layers.Layer)}
    assert compared == {kind for kind in kinds if kind is not layers.Layer and not issubclass(kind, layers.Head)}


@pytest.mark.parametrize("name", SECTIONS)
def test_floats_pass_through_module_and_file_bit_for_bit(tmp_path: Path, name: str) -> None:
    netdef, weights = network(SECTIONS[name])
    model = DarknetModel(netdef)
    load_weights(model, weights)
    assert_same(to_weights(model, weights.header), weights)
    write_weights(tmp_path / "net.weights", to_weights(model, weights.header), netdef)
    assert_same(read_weights(tmp_path / "net.weights", netdef), weights)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_computes_what_darknets_loop_does(name: str) -> None:
    x = np.random.default_rng(2).uniform(-7, 7, (5, 6, 6))
    x[0, 0] = [0.0, 1.0, -1.0, 4.0, -4.0, 6.0]
    expected = activated(name, x)
    assert_close(TENSOR_ACTIVATIONS[name](torch.from_numpy(x[None])).numpy()[0], expected)
    assert_close(ACTIVATIONS[name](x), expected)


def test_both_tables_of_activations_hold_the_same_names() -> None:
    assert TENSOR_ACTIVATIONS.keys() == ACTIVATIONS.keys()


def assert_close(found: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-9 * np.abs(expected).max()
