"""Where the floats of every kind of layer are in a weights file, tested with the numbers 0, 1, 2, …"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prune.darknet.netdef import NetDef, parse_netdef
from prune.darknet.records import Floats, Header, Weights
from prune.darknet.weights import random_weights, read_partial, read_weights, write_weights
from prune.errors import PlanError, WeightsError
from prune.graph.cost import network_cost
from tests.mixed_layers import CONNECTED, CONV, MIXED, NET
from tests.strategies import arrays_of


def counted(path: Path, floats: int, header: Header | None = None) -> Floats:
    """A file of the numbers 0, 1, 2, … after a header."""
    stream = np.arange(floats, dtype=np.float32)
    path.write_bytes((header or Header()).to_bytes() + stream.tobytes())
    return stream


def connected(header: Header, folder: Path) -> tuple[Weights, bytes, NetDef]:
    netdef = parse_netdef(NET + CONNECTED, "net.cfg")
    counted(folder / "a.weights", 2 + 2 * 16 + 6, header)
    return read_weights(folder / "a.weights", netdef), (folder / "a.weights").read_bytes(), netdef


def test_a_connected_layer_is_stored_as_bias_kernel_and_then_its_batch_norm(tmp_path: Path) -> None:
    weights, _, _ = connected(Header(), tmp_path)
    record = weights.conv(0)
    assert record.weight.shape == (2, 2, 2, 4)
    assert np.array_equal(record.weight.ravel(), np.arange(2, 34))
    assert record.gamma is not None
    assert record.mean is not None
    assert record.var is not None
    vectors = [record.bias.tolist(), record.gamma.tolist(), record.mean.tolist(), record.var.tolist()]
    assert vectors == [[0, 1], [34, 35], [36, 37], [38, 39]]


@pytest.mark.parametrize("header", [Header(1001, 0), Header(0, 1001)])
def test_old_versions_store_the_kernel_of_a_connected_layer_transposed(header: Header, tmp_path: Path) -> None:
    weights, content, netdef = connected(header, tmp_path)
    kernel = weights.conv(0).weight
    assert np.array_equal(kernel[0].ravel(), np.arange(2, 34, 2))
    assert np.array_equal(kernel[1].ravel(), np.arange(3, 34, 2))
    write_weights(tmp_path / "b.weights", weights, netdef)
    assert (tmp_path / "b.weights").read_bytes() == content


def test_a_flipped_kernel_is_stored_transposed(tmp_path: Path) -> None:
    netdef = parse_netdef(NET + CONV + "size=3\npad=1\nflipped=1\n", "net.cfg")
    stream = counted(tmp_path / "a.weights", 3 + 3 * 2 * 9)
    weights = read_weights(tmp_path / "a.weights", netdef)
    assert np.array_equal(weights.conv(0).weight.reshape(3, 18), stream[3:].reshape(18, 3).T)
    write_weights(tmp_path / "b.weights", weights, netdef)
    assert (tmp_path / "b.weights").read_bytes() == (tmp_path / "a.weights").read_bytes()


@pytest.mark.parametrize(("kind", "shape"), [("per_feature", (3,)), ("per_channel", (3, 3))])
def test_a_weighted_shortcut_has_its_factors_at_its_place(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    shortcut = f"[shortcut]\nfrom=-2,-1\nweights_type={kind}\nweights_normalization=softmax\n"
    netdef = parse_netdef(NET + CONV + CONV + shortcut + CONV, "net.cfg")
    size = int(np.prod(shape))
    counted(tmp_path / "a.weights", 9 + 12 + size + 12)
    weights = read_weights(tmp_path / "a.weights", netdef)
    assert np.array_equal(weights.shortcut(2).weights, np.arange(21, 21 + size).reshape(shape))
    assert weights.conv(3).bias.tolist() == [21 + size, 22 + size, 23 + size]
    assert network_cost(netdef).parameters == weights.floats == 33 + size


def test_factors_are_normalised_for_each_channel() -> None:
    netdef = parse_netdef(MIXED)
    params = random_weights(netdef, np.random.default_rng(0)).shortcut(2)
    params.weights[:] = [[1, -2, 0], [3, -1, 0]]
    assert params.factors("none").tolist() == params.weights.tolist()
    assert params.factors("relu") == pytest.approx(np.array([[1 / 4.0001, 0, 0], [3 / 4.0001, 0, 0]]))
    share = 1 / (1 + np.exp(-2.0) + 1e-4)
    expected = np.array([[share * np.exp(-2.0), 1 / (1 + np.exp(1) + 1e-4 * np.exp(1)), 1 / 2.0001]])
    assert params.factors("softmax")[:1] == pytest.approx(expected)


def test_all_kinds_of_layers_go_to_a_file_and_back(tmp_path: Path) -> None:
    netdef = parse_netdef(MIXED, "net.cfg")
    weights = random_weights(netdef, np.random.default_rng(0))
    write_weights(tmp_path / "a.weights", weights, netdef)
    again = read_weights(tmp_path / "a.weights", netdef)
    pairs = list(zip(arrays_of(weights), arrays_of(again), strict=True))
    assert len(pairs) == 2 + 5 + 1 + 5
    assert all(i == j and np.array_equal(a, b) for (i, a), (j, b) in pairs)
    assert (tmp_path / "a.weights").stat().st_size == network_cost(netdef).weights_bytes


def test_a_layer_that_shares_owns_no_floats(tmp_path: Path) -> None:
    same = CONV.replace("=3", "=2")
    netdef = parse_netdef(NET + same + same + "share_index=0\n" + CONV, "net.cfg")
    counted(tmp_path / "a.weights", 6 + 9)
    weights = read_weights(tmp_path / "a.weights", netdef)
    assert sorted(weights.records) == [0, 2]
    assert weights.conv(2).bias.tolist() == [6, 7, 8]
    assert network_cost(netdef).parameters == 15
    assert sorted(random_weights(netdef, np.random.default_rng(0)).records) == [0, 2]


@pytest.mark.parametrize("key", ["dontload", "dont_load"])
def test_a_file_may_be_without_a_layer_that_is_not_loaded_or_with_it(key: str, tmp_path: Path) -> None:
    netdef = parse_netdef(NET + CONV + CONV + f"{key}=1\n" + CONV, "net.cfg")
    counted(tmp_path / "a.weights", 9 + 12)
    without = read_weights(tmp_path / "a.weights", netdef)
    assert (sorted(without.records), without.conv(2).bias[0]) == ([0, 2], 9)
    assert sorted(read_partial(tmp_path / "a.weights", netdef).records) == [0, 2]
    write_weights(tmp_path / "b.weights", without, netdef)
    assert (tmp_path / "b.weights").read_bytes() == (tmp_path / "a.weights").read_bytes()
    counted(tmp_path / "a.weights", 9 + 12 + 12)
    saved = read_weights(tmp_path / "a.weights", netdef)
    assert (sorted(saved.records), saved.conv(2).bias[0]) == ([0, 1, 2], 21)
    assert sorted(read_partial(tmp_path / "a.weights", netdef).records) == [0, 1, 2]


def test_a_backbone_may_be_cut_after_any_layer(tmp_path: Path) -> None:
    netdef = parse_netdef(MIXED, "net.cfg")
    full = random_weights(netdef, np.random.default_rng(0))
    for end in range(5):
        part = Weights(full.header, {index: full.records[index] for index in range(end)})
        write_weights(tmp_path / "a.conv", part, netdef)
        assert sorted(read_partial(tmp_path / "a.conv", netdef).records) == list(range(end))


def test_records_of_another_layer_are_not_written(tmp_path: Path) -> None:
    netdef = parse_netdef(MIXED, "net.cfg")
    weights = random_weights(netdef, np.random.default_rng(0))
    for index, donor in ((0, 1), (2, 0), (1, 2), (7, 0)):
        wrong = Weights(weights.header, {**weights.records, index: weights.records[donor]})
        with pytest.raises(WeightsError, match=f"layer {index} "):
            write_weights(tmp_path / "a.weights", wrong, netdef)
    assert list(tmp_path.iterdir()) == []


def test_asking_for_the_record_of_another_kind_is_an_error() -> None:
    weights = random_weights(parse_netdef(MIXED), np.random.default_rng(0))
    with pytest.raises(PlanError, match="layer 2 has no floats of a convolution"):
        weights.conv(2)
    with pytest.raises(PlanError, match="layer 1 has no floats of a shortcut"):
        weights.shortcut(1)
