"""The network definitions of `cfg/`: well-formed, and the standard ones equal to those in circulation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from prune.darknet.layers import Convolutional, Layer
from prune.darknet.netdef import NetDef, format_netdef, read_netdef
from tests.shared import REPOSITORY, SHARED, needs_shared

CFGS = sorted((REPOSITORY / "cfg").glob("*.cfg"), key=lambda path: path.name)
LAYERS = {"yolov3": 107, "yolov3-spp": 114, "yolov3-tiny": 24, "yolov4": 162, "yolov4-tiny": 38}
STANDARD = sorted(LAYERS)


def _ours(name: str) -> NetDef:
    return read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")


def _options(layer: Layer) -> tuple[str, dict[str, str]]:
    """The layer's kind and its options, blanks removed: what defines the network."""
    values = {key: line.value for key, line in layer.section.options.items()}
    return layer.kind, {key: "".join(value.split()) for key, value in values.items()}


def test_the_folder_contains_all_networks() -> None:
    assert {path.stem for path in CFGS} == {*STANDARD, "toy", "yolov3-nano"}


@pytest.mark.parametrize("path", CFGS, ids=lambda path: path.stem)
def test_a_cfg_of_ours_round_trips_and_gives_no_warning(path: Path) -> None:
    netdef = read_netdef(path)
    assert netdef.warnings == ()
    assert format_netdef(netdef) == path.read_bytes().decode()


@pytest.mark.parametrize("path", CFGS, ids=lambda path: path.stem)
def test_a_head_gets_as_many_channels_as_it_reads(path: Path) -> None:
    netdef = read_netdef(path)
    for head in netdef.heads:
        assert netdef.convolution(head.inputs[0]).filters == head.channels


@needs_shared
@pytest.mark.parametrize("name", STANDARD)
def test_a_standard_network_equals_the_one_in_circulation(name: str) -> None:
    ours, theirs = _ours(name), read_netdef(SHARED / "cfg-zoo" / f"{name}.cfg")
    assert (ours.net.width, ours.net.height) == (theirs.net.width, theirs.net.height)
    expected = [_options(layer) for layer in theirs.layers]
    if name == "yolov3-tiny":
        expected[23][1]["mask"] = "1,2,3"  # the mask that the published weights were trained with
    assert [_options(layer) for layer in ours.layers] == expected


@pytest.mark.parametrize("name", STANDARD)
def test_a_standard_network_has_its_known_number_of_layers(name: str) -> None:
    assert len(_ours(name).layers) == LAYERS[name]


def test_the_toy_has_every_feature() -> None:
    netdef = _ours("toy")
    kinds = {layer.kind for layer in netdef.layers}
    assert kinds >= {
        "shortcut",
        "route",
        "upsample",
        "maxpool",
        "avgpool",
        "scale_channels",
        "dropout",
        "yolo",
    }
    convolutions = [layer for layer in netdef.layers if isinstance(layer, Convolutional)]
    assert any(conv.groups == conv.filters > 1 for conv in convolutions), "a depthwise convolution"
    assert {conv.batch_normalize for conv in convolutions} == {True, False}
    assert {conv.activation for conv in convolutions} >= {
        "leaky",
        "relu",
        "mish",
        "swish",
        "logistic",
        "linear",
    }
    assert len(netdef.heads) == 2


def test_the_nano_follows_the_pattern_of_darknet_53() -> None:
    netdef = _ours("yolov3-nano")
    kinds = Counter(layer.kind for layer in netdef.layers)
    assert kinds["shortcut"] == 7
    assert all(head.classes == 3 for head in netdef.heads)
    for layer in netdef.layers:
        if layer.kind == "shortcut":
            body = [netdef.convolution(layer.index - step) for step in (2, 1)]
            assert [conv.size for conv in body] == [1, 3]
            assert body[0].filters * 2 == body[1].filters
