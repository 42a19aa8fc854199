"""The weights file: bit-exact both ways, and other files are not accepted as one."""

from __future__ import annotations

import pickle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.records import Header, Weights
from prune.darknet.weights import random_weights, read_partial, read_weights, write_weights
from prune.errors import CfgError, WeightsError
from prune.graph.cost import network_cost
from prune.surgery.classes import adapt_classes
from tests.shared import SHARED, needs_shared
from tests.strategies import as_float32, examples, networks
from tests.weight_pairs import CFG, HEADS, assert_same

FLOATS = (4 * 4 + 4 * 3 * 9) + (6 + 6 * 2)


def small() -> tuple[NetDef, Weights]:
    netdef = parse_netdef(CFG, "small.cfg")
    return netdef, random_weights(netdef, np.random.default_rng(0))


@given(networks())
@examples(40)
def test_weights_are_read_as_they_were_written(network: tuple[NetDef, Weights]) -> None:
    netdef, weights = network[0], as_float32(network[1])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.weights"
        write_weights(path, weights, netdef)
        assert_same(read_weights(path, netdef), weights)
        assert path.stat().st_size == network_cost(netdef).weights_bytes
        assert [file.name for file in Path(folder).iterdir()] == ["a.weights"]


@given(st.sampled_from([(0, 1), (0, 2), (0, 3), (1, 0), (2, 5)]), st.integers(0, 2**31 - 1), st.integers(0, 9))
@examples(20)
def test_every_header_version_keeps_its_width_of_seen(version: tuple[int, int], seen: int, revision: int) -> None:
    netdef, weights = small()
    header = Header(*version, revision, seen)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.weights"
        write_weights(path, Weights(header, weights.records), netdef)
        assert path.stat().st_size == (16 if version == (0, 1) else 20) + 4 * FLOATS
        assert_same(read_weights(path, netdef), Weights(header, weights.records))


def test_seen_beyond_32_bits_survives(tmp_path: Path) -> None:
    netdef, weights = small()
    write_weights(tmp_path / "a.weights", Weights(Header(seen=2**40), weights.records), netdef)
    assert read_weights(tmp_path / "a.weights", netdef).header.seen == 2**40


@pytest.mark.parametrize(
    ("change", "word"), [(-1, "truncated"), (-FLOATS, "truncated"), (1, "too long"), (99, "too long")]
)
def test_a_file_of_another_length_names_both_lengths(tmp_path: Path, change: int, word: str) -> None:
    netdef, weights = small()
    path = tmp_path / "a.weights"
    write_weights(path, weights, netdef)
    content = path.read_bytes()
    path.write_bytes(content[: 4 * change] if change < 0 else content + bytes(4 * change))
    with pytest.raises(WeightsError, match=word) as caught:
        read_weights(path, netdef)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert f"contains {FLOATS + change} floats" in message
    assert f"small.cfg needs {FLOATS}" in message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "0 bytes long"),
        (b"\x00" * 15, "15 bytes"),
        (b"PK\x03\x04" * 8, "not a Darknet weights file"),
        (bytes([0, 0, 0, 0, 2, 0, 0, 0]) + bytes(8), "truncated"),
        (bytes([0, 0, 0, 0, 2, 0, 0, 0]) + bytes(12 + 4 * FLOATS + 2), "not a whole number of floats"),
    ],
)
def test_what_is_not_a_weights_file_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.weights"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=what):
        read_weights(path, small()[0])


@given(st.binary(max_size=60) | st.binary(max_size=8).map(lambda tail: bytes(20 + 4 * FLOATS) + tail))
@examples(60)
def test_any_bytes_are_either_weights_or_refused(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.weights"
        path.write_bytes(content)
        for read in (read_weights, read_partial):
            try:
                weights = read(path, small()[0])
            except WeightsError:
                continue
            assert len(weights.header.to_bytes()) + 4 * weights.floats == len(content)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, what in ((tmp_path / "none", "no such file"), (tmp_path, "folder")):
        with pytest.raises(WeightsError, match=what) as caught:
            read_weights(path, small()[0])
        assert str(caught.value).startswith(f"{path}: ")


def test_weights_of_another_cfg_are_refused(tmp_path: Path) -> None:
    netdef, weights = small()
    write_weights(tmp_path / "a.weights", weights, netdef)
    other = parse_netdef(CFG.replace("filters=6", "filters=8"), "other.cfg")
    with pytest.raises(WeightsError, match=r"of another cfg"):
        read_weights(tmp_path / "a.weights", other)


def test_a_partial_file_ends_on_a_layer_boundary(tmp_path: Path) -> None:
    netdef, weights = small()
    path = tmp_path / "a.conv.1"
    for layers in (0, 1, 2):
        part = Weights(weights.header, {i: weights.records[i] for i in range(layers)})
        write_weights(path, part, netdef)
        assert_same(read_partial(path, netdef), part)
    for floats in (3, FLOATS - 1, FLOATS + 1):
        path.write_bytes(weights.header.to_bytes() + bytes(4 * floats))
        with pytest.raises(WeightsError, match=r"no layer of small\.cfg ends there"):
            read_partial(path, netdef)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    netdef, weights = small()
    path = tmp_path / "a.weights"
    write_weights(path, weights, netdef)
    before = path.read_bytes()
    broken = Weights(weights.header, {**weights.records, 1: None})  # type: ignore[dict-item]
    with pytest.raises(AttributeError):
        write_weights(path, broken, netdef)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@needs_shared
@pytest.mark.parametrize("name", ["yolov3-tiny", "yolo-fastest-1.1"])
def test_official_weights_are_written_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    path = SHARED / "weights" / f"{name}.weights"
    netdef = read_netdef(path.with_suffix(".cfg"))
    write_weights(tmp_path / "copy.weights", read_weights(path, netdef), netdef)
    assert (tmp_path / "copy.weights").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_file_is_refused_by_name(tmp_path: Path, value: float) -> None:
    netdef, weights = small()
    weights.conv(1).weight[2, 0] = value
    write_weights(tmp_path / "a.weights", weights, netdef)
    with pytest.raises(WeightsError, match=r"a\.weights: contains values that are NaN or infinite"):
        read_weights(tmp_path / "a.weights", netdef)


def test_a_negative_variance_is_one_line_that_names_the_layer(tmp_path: Path) -> None:
    netdef, weights = small()
    var = weights.conv(0).var
    assert var is not None
    var[2] = -1e-3
    write_weights(tmp_path / "a.weights", weights, netdef)
    for read in (read_weights, read_partial):
        with pytest.raises(WeightsError, match=r"a\.weights: layer 0: the variance of channel 2 is negative"):
            read(tmp_path / "a.weights", netdef)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html>gone</html>", "is a web page, not a Darknet weights file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS"),
        (b"PK\x03\x04" + bytes(26) + b"archive/data.pkl" + bytes(40), "is a PyTorch checkpoint, .*rename it to .pt"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.6.0" + bytes(40), "is an ONNX model"),
        (b"# my net\n[net]\nwidth=32\nheight=32\n", "is a cfg, .*exchanged"),
        (b"dog\ncat\nbicycle\ncar\nhorse\n", "is a text file"),
        ("[net]\nwidth=32\n".encode("utf-16"), "is UTF-16 text"),
    ],
)
def test_another_kind_of_file_is_named_as_what_it_is(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.weights"
    path.write_bytes(content)
    for read in (read_weights, read_partial):
        with pytest.raises(WeightsError, match=rf"^\S*a\.weights: {what}"):
            read(path, small()[0])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (Header().to_bytes() + bytes(400), "is a Darknet weights file, not a cfg; are --cfg and --weights exchanged?"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.6.0", "is a binary file, not a cfg"),
        (b"<!doctype html><html>gone</html>", "is a web page"),
        (CFG.encode("utf-16"), "is UTF-16 text"),
        (b"PK\x03\x04" + bytes(40), "is a zip archive"),
    ],
)
def test_another_kind_of_file_in_place_of_a_cfg_is_named(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "a.cfg").write_bytes(content)
    with pytest.raises(CfgError) as caught:
        read_netdef(tmp_path / "a.cfg")
    assert str(caught.value).startswith(f"{tmp_path / 'a.cfg'}: {what}")


@pytest.mark.parametrize("classes", [1, 5, 80])
def test_weights_of_another_number_of_classes_are_named_by_it(tmp_path: Path, classes: int) -> None:
    netdef = parse_netdef(HEADS, "two.cfg")
    other = adapt_classes(netdef, classes)
    write_weights(tmp_path / "a.weights", random_weights(other, np.random.default_rng(0)), other)
    said = f"the network has as many with {classes} classes, not 2"
    with pytest.raises(WeightsError, match=rf"two\.cfg needs .*{said}.*pass the cfg that they were trained with"):
        read_weights(tmp_path / "a.weights", netdef)
    with pytest.raises(WeightsError, match=rf"no layer of two\.cfg ends there; {said}.*--weights-cfg OLD\.cfg"):
        read_partial(tmp_path / "a.weights", netdef)


def test_weights_that_no_number_of_classes_explains_are_not_said_to_be_of_one(tmp_path: Path) -> None:
    netdef = parse_netdef(HEADS, "two.cfg")
    weights = random_weights(netdef, np.random.default_rng(0))
    write_weights(tmp_path / "a.weights", weights, netdef)
    (tmp_path / "a.weights").write_bytes((tmp_path / "a.weights").read_bytes()[:-4])
    with pytest.raises(WeightsError, match=r"truncated, or of another cfg$"):
        read_weights(tmp_path / "a.weights", netdef)
    with pytest.raises(WeightsError, match=r"the nearest are .*--weights-cfg OLD\.cfg"):
        read_partial(tmp_path / "a.weights", netdef)


def test_an_error_can_leave_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(WeightsError("a.weights", "is truncated")))
    assert isinstance(error, WeightsError)
    assert str(error) == "a.weights: is truncated"
