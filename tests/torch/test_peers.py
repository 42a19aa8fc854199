"""Checkpoints of other programs, and .pt files whose values or shapes are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from prune.darknet.netdef import NetDef, parse_netdef
from prune.darknet.records import Weights
from prune.darknet.weights import random_weights, write_weights
from prune.errors import WeightsError
from prune.model.build import DarknetModel
from prune.model.files import read_exact
from prune.model.state import load_weights
from prune.surgery.classes import adapt_classes
from prune.train.start import start_network
from tests.weight_pairs import HEADS, assert_same

CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\npad=1\nactivation=leaky\n\n"
RESIDUAL = CONV.format(6) + CONV.format(4) + CONV.format(6) + "[shortcut]\nfrom=-3\nactivation=linear\n\n"
CFG = "[net]\nwidth=32\nheight=32\n\n" + RESIDUAL + "[convolutional]\nfilters=14\nactivation=linear\n\n"
CFG += "[yolo]\nmask=0,1\nanchors=4,5, 6,7\nclasses=2\nnum=2\n"
NAMES = ("bias", "weight", "running_mean", "running_var")
Name = Callable[[int, int], tuple[str, str]]
"""(layer number, how many convolutions come before it) → the names of the convolution and of its batch norm."""

DIALECTS: dict[str, Name] = {
    "ultralytics": lambda i, _: (f"module_list.{i}.Conv2d", f"module_list.{i}.BatchNorm2d"),
    "eriklindernoren": lambda i, _: (f"module_list.{i}.conv_{i}", f"module_list.{i}.batch_norm_{i}"),
    "parallel": lambda i, _: (f"module.module_list.{i}.Conv2d", f"module.module_list.{i}.BatchNorm2d"),
    "marvis": lambda i, n: (f"models.{i}.conv{n + 1}", f"models.{i}.bn{n + 1}"),
    "plain": lambda i, _: (f"models.{i}.conv", f"models.{i}.bn"),
    "nested": lambda i, _: (f"net.layers.{i}.0", f"net.layers.{i}.1"),
}


def pair() -> tuple[NetDef, Weights]:
    netdef = parse_netdef(CFG, "net.cfg")
    return netdef, random_weights(netdef, np.random.default_rng(0))


def spoken(weights: Weights, name: Name) -> dict[str, Tensor]:
    """The parameters of a network under another program's names."""
    state: dict[str, Tensor] = {}
    for count, index in enumerate(sorted(weights.records)):
        record, (conv, norm) = weights.conv(index), name(index, count)
        state[f"{conv}.weight"] = torch.from_numpy(record.weight.copy())
        vectors = [torch.from_numpy(vector.copy()) for vector in (record.bias, *record.normal())]
        if record.gamma is None:
            state[f"{conv}.bias"] = vectors[0]
        else:
            state |= {f"{norm}.{leaf}": vector for leaf, vector in zip(NAMES, vectors, strict=True)}
            state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
    return state


def saved(folder: Path, state: dict[str, Tensor]) -> Path:
    torch.save({"epoch": 1, "model": state, "optimizer": None}, folder / "peer.pt")
    return folder / "peer.pt"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_peers_checkpoint_is_read_by_layer_number_in_any_order(tmp_path: Path, dialect: str) -> None:
    netdef, weights = pair()
    state = spoken(weights, DIALECTS[dialect])
    backwards = dict(sorted(state.items(), key=lambda item: item[0].rpartition(".")[0], reverse=True))
    assert_same(read_exact(saved(tmp_path, state), netdef), weights)
    for tensors in (state, backwards):
        model, seen = start_network(netdef, saved(tmp_path, tensors))
        assert np.array_equal(model.block(2).conv.weight.detach().numpy(), weights.conv(2).weight)
        assert seen == 0


def test_without_layer_numbers_the_order_is_used_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    netdef, weights = pair()
    state = spoken(weights, lambda _, n: (f"stage{'abcd'[n]}.conv", f"stage{'abcd'[n]}.bn"))
    assert_same(read_exact(saved(tmp_path, state), netdef), weights)
    assert "read in their order; check the result" in caplog.text


def test_numbers_that_are_not_the_cfgs_are_read_as_an_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    netdef, weights = pair()
    state = spoken(weights, lambda _, n: (f"{2 * n}", f"{2 * n + 1}"))
    assert_same(read_exact(saved(tmp_path, state), netdef), weights)
    assert "read in their order" in caplog.text


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda s: s.pop("module_list.0.BatchNorm2d.running_var"), "layer 0 needs batch norm with all four vectors"),
        (lambda s: s.pop("module_list.1.Conv2d.weight"), "it has no convolution 1"),
        (lambda s: s.update({"module_list.1.Conv2d.weight": torch.ones(4, 6, 1, 1)}), "layer 1 needs a kernel 4×6×3×3"),
        (
            lambda s: s.update({"module_list.9.Conv2d.weight": torch.ones(4, 6, 1, 1)}),
            "it has 5 convolutions",
        ),
        (lambda s: s.update({"module_list.4.Conv2d.bias": torch.ones(3)}), "layer 4 needs vectors of 14 numbers"),
        (lambda s: s.update({"module_list.0.Conv2d.bias": torch.ones(6)}), "layer 0 needs batch norm"),
    ],
)
def test_the_error_of_a_peers_checkpoint_that_does_not_fit_names_the_program_and_the_fix(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object], what: str
) -> None:
    netdef, weights = pair()
    state = spoken(weights, DIALECTS["ultralytics"])
    change(state)
    with pytest.raises(WeightsError) as caught:
        read_exact(saved(tmp_path, state), netdef)
    message = str(caught.value)
    assert "has parameter names of the PyTorch YOLOv3 of Ultralytics" in message
    assert what in message
    assert message.endswith("export it as .weights with that program and pass that file")


def test_a_weighted_shortcut_of_another_program_is_not_guessed(tmp_path: Path) -> None:
    state = spoken(pair()[1], DIALECTS["ultralytics"])
    weighted = parse_netdef(CFG.replace("from=-3\n", "from=-3\nweights_type=per_feature\n"), "net.cfg")
    with pytest.raises(WeightsError, match=r"store \[shortcut\] \(layer 3\) differently"):
        read_exact(saved(tmp_path, state), weighted)


@pytest.mark.parametrize(
    ("leaf", "value", "what"),
    [
        ("running_var", -0.5, "layer 1: the variance of channel 2 is negative"),
        ("running_mean", float("nan"), r"NaN or infinite \(layer 1\)"),
        ("weight", float("inf"), r"NaN or infinite \(layer 1\)"),
        ("bias", 1e300, r"NaN or infinite \(layer 1\)"),
    ],
)
@pytest.mark.parametrize("ours", [True, False])
def test_an_impossible_value_is_one_line(tmp_path: Path, leaf: str, value: float, what: str, ours: bool) -> None:
    netdef, weights = pair()
    if ours:
        load_weights(model := DarknetModel(netdef), weights)
        state, name = dict(model.state_dict()), f"blocks.1.bn.{leaf}"
    else:
        state, name = spoken(weights, DIALECTS["plain"]), f"models.1.bn.{leaf}"
    state[name] = state[name].double()
    state[name][2] = value
    with pytest.raises(WeightsError, match=what):
        read_exact(saved(tmp_path, state), netdef)


def test_the_error_of_another_number_of_classes_names_it(tmp_path: Path) -> None:
    netdef = parse_netdef(HEADS, "two.cfg")
    state = dict(DarknetModel(adapt_classes(netdef, 80)).state_dict())
    with pytest.raises(WeightsError, match=r"peer\.pt: does not fit two\.cfg: its heads have 80 classes, not 2; is it"):
        read_exact(saved(tmp_path, state), netdef)
    with pytest.raises(WeightsError, match=r"its heads have 80 classes, not 2; .*--weights-cfg OLD\.cfg"):
        start_network(netdef, saved(tmp_path, state))


def test_the_error_of_another_network_names_the_first_difference(tmp_path: Path) -> None:
    netdef, _ = pair()
    wide = dict(DarknetModel(parse_netdef(CFG.replace("filters=4", "filters=8"))).state_dict())
    with pytest.raises(WeightsError, match=r"its blocks\.1\.conv\.weight has the shape 8×6×3×3, the cfg needs 4×6×3×3"):
        read_exact(saved(tmp_path, wide), netdef)
    more = dict(DarknetModel(netdef).state_dict()) | {"blocks.9.conv.weight": torch.ones(1, 1, 1, 1)}
    with pytest.raises(WeightsError, match=r"it has blocks\.9\.conv\.weight, which the cfg does not have"):
        read_exact(saved(tmp_path, more), netdef)


def test_a_file_of_another_kind_named_pt_is_named(tmp_path: Path) -> None:
    netdef, weights = pair()
    write_weights(tmp_path / "a.pt", weights, netdef)
    with pytest.raises(WeightsError, match=r"a\.pt: is a Darknet weights file, .*rename it to \.weights"):
        read_exact(tmp_path / "a.pt", netdef)
    (tmp_path / "a.pt").write_bytes(b"<html>moved</html>")
    with pytest.raises(WeightsError, match=r"a\.pt: is a web page, not a PyTorch checkpoint"):
        read_exact(tmp_path / "a.pt", netdef)
