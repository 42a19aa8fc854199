"""Darknet's whole table of activations, against scalar formulas written down one by one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from prune.darknet.activations import ACTIVATIONS, CONVOLUTIONAL_ONLY, FOREIGN, MIXING
from prune.darknet.netdef import parse_netdef
from prune.errors import CfgError

POINTS = [-30.0, -5.0, -4.0, -3.3, -2.0, -1.5, -1.0, -0.3, 0.0, 0.2, 0.9, 1.0, 1.7, 2.5, 3.0, 4.0, 5.5, 6.5, 30.0]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def plse(x: float) -> float:
    if x < -4:
        return 0.01 * (x + 4)
    return 0.01 * (x - 4) + 1 if x > 4 else 0.125 * x + 0.5


def lhtan(x: float) -> float:
    if x < 0:
        return 0.001 * x
    return 0.001 * (x - 1) + 1 if x > 1 else x


def stair(x: float) -> float:
    """Flat between an even number and the next odd one, then a slope of 1."""
    whole = math.floor(x)
    return math.floor(x / 2) if whole % 2 == 0 else (x - whole) + math.floor(x / 2)


def hard_mish(x: float) -> float:
    if x > 0:
        return x
    return x * x / 2 + x if x > -2 else 0.0


SCALAR: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "leaky": lambda x: x if x > 0 else 0.1 * x,
    "revleaky": lambda x: x if x > 0 else 0.1 * x,
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "relie": lambda x: x if x > 0 else 0.01 * x,
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "logistic": sigmoid,
    "loggy": lambda x: 2 * sigmoid(x) - 1,
    "tanh": math.tanh,
    "hardtan": lambda x: -1.0 if x < -1 else min(x, 1.0),
    "lhtan": lhtan,
    "plse": plse,
    "stair": stair,
    "elu": lambda x: x if x >= 0 else math.exp(x) - 1,
    "selu": lambda x: 1.0507 * (x if x >= 0 else 1.6732 * (math.exp(x) - 1)),
    "gelu": lambda x: 0.5 * x * (1 + math.tanh(0.797885 * x + 0.035677 * x**3)),
    "swish": lambda x: x * sigmoid(x),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "hard_mish": hard_mish,
    "h_swish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
}


@pytest.mark.parametrize("name", sorted(SCALAR))
def test_an_elementwise_activation_is_its_formula(name: str) -> None:
    found = ACTIVATIONS[name](np.array(POINTS))
    assert found.tolist() == pytest.approx([SCALAR[name](x) for x in POINTS], rel=1e-12, abs=1e-15)


def test_the_table_is_whole() -> None:
    assert ACTIVATIONS.keys() == SCALAR.keys() | MIXING
    assert len(MIXING) == 3


@pytest.mark.parametrize("name", sorted(MIXING))
def test_a_mixing_activation_divides_by_the_sum_over_the_channels(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 2)) * 2
    found = ACTIVATIONS[name](x)
    for row, column in np.ndindex(2, 2):
        pixel = x[:, row, column].tolist()
        largest = max(pixel) if name.endswith("maxval") else 0.0
        parts = [math.exp(v - largest) if "softmax" in name else max(v, 0.0) for v in pixel]
        expected = [part / (sum(parts) + 1e-4) for part in parts]
        assert found[:, row, column].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS.keys() - FOREIGN))
def test_every_activation_is_read_in_a_convolution(name: str) -> None:
    netdef = parse_netdef(f"[net]\n[convolutional]\nactivation={name}\n")
    assert netdef.convolutions[0].activation == name
    assert netdef.warnings == ()


@pytest.mark.parametrize("name", sorted(ACTIVATIONS.keys() - FOREIGN))
def test_elsewhere_those_that_darknet_does_not_compute_are_refused(name: str) -> None:
    text = f"[net]\n[avgpool]\n[shortcut]\nfrom=-1\nactivation={name}\n"
    if name in CONVOLUTIONAL_ONLY:
        with pytest.raises(CfgError, match=rf"^<text>:5: .*activation={name}: .* only"):
            parse_netdef(text)
    else:
        assert parse_netdef(text).warnings == ()


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_an_activation_that_darknet_lacks_is_read_with_one_warning(name: str) -> None:
    section = f"[convolutional]\nactivation={name}\n"
    netdef = parse_netdef(f"[net]\n{section}{section}[shortcut]\nfrom=-2\nactivation={name}\n", "a.cfg")
    assert [layer.activation for layer in netdef.convolutions] == [name, name]
    (warning,) = netdef.warnings
    assert warning == f"a.cfg:3: Darknet does not know activation={name}: it would silently use relu"


@pytest.mark.parametrize(
    ("word", "darknets"),
    [
        ("silu", "swish"),
        ("SiLU", "swish"),
        ("none", "linear"),
        ("None", "linear"),
        ("identity", "linear"),
        ("Leaky", "leaky"),
        ("LeakyReLU", "leaky"),
        ("leaky_relu", "leaky"),
        ("lrelu", "leaky"),
        ("sigmoid", "logistic"),
        ("hswish", "h_swish"),
        ("Hardswish", "h_swish"),
        ("ReLU6", "relu6"),
        ("hardmish", "hard_mish"),
    ],
)
def test_another_programs_activation_is_translated(word: str, darknets: str) -> None:
    with pytest.raises(CfgError, match=rf"^a\.cfg:3: .*activation={word} is unknown .*: write activation={darknets}$"):
        parse_netdef(f"[net]\n[convolutional]\nactivation={word}\n", "a.cfg")


def test_a_misspelt_activation_is_guessed() -> None:
    with pytest.raises(CfgError, match=r"activation=laeky is unknown .*: did you mean leaky[?] known are linear"):
        parse_netdef("[net]\n[convolutional]\nactivation=laeky\n")


@pytest.mark.parametrize("word", ["prelu", "CELU", "hard_sigmoid"])
def test_an_activation_without_an_equivalent_in_darknet_is_not_guessed(word: str) -> None:
    with pytest.raises(CfgError, match=rf"activation={word} is unknown .*: known are linear"):
        parse_netdef(f"[net]\n[convolutional]\nactivation={word}\n")


def test_an_unknown_activation_gets_the_whole_list() -> None:
    with pytest.raises(CfgError, match=r"activation=qqq is unknown .*: known are linear, leaky"):
        parse_netdef("[net]\n[convolutional]\nactivation=qqq\n")
