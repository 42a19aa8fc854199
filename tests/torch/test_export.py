"""Exported networks compute what the networks compute."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from prune.darknet.activations import ACTIVATIONS
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.records import Weights
from prune.darknet.weights import read_weights
from prune.detect.export_check import expected_outputs
from prune.export.build import export_network
from prune.export.settings import DYNAMIC, ExportSettings
from prune.export.source import Source
from prune.surgery.apply import apply
from prune.verify.passes import relative_deviation
from tests.exports import computed, quick_weights, random_images
from tests.section_cfgs import NET, SECTIONS, conv, network
from tests.shared import REPOSITORY, SHARED, needs_shared
from tests.strategies import as_float32, examples, networks, plans, tame_weights
from tests.torch.heads import two_head_cfg, two_heads

TOLERANCE = 1e-5
ALL_BATCHES: list[int | str] = [1, 2, DYNAMIC]
LARGE = {
    "cd53paspp-gamma", "yolov3", "yolov3-spp", "yolov3-voc", "yolov4", "yolov4-csp", "yolov4-csp-swish", "yolov4x-mish",
}  # fmt: skip
"""Networks of the zoo whose sections and options are those of smaller ones, or that are in `cfg/`, too."""
ZOO = sorted(path.stem for path in (SHARED / "cfg-zoo").glob("*.cfg") if path.stem not in LARGE)


def deviation(source: Source, batch: int = 1) -> float:
    """The largest of its outputs, from what the network computes in float64."""
    imgs = random_images(source, batch)
    found = [torch.from_numpy(output).double() for output in computed(export_network(source), imgs)]
    expected = expected_outputs(source, torch.from_numpy(imgs).double())
    assert len(found) == len(expected) > 0
    return max(relative_deviation(a, b.double()) for a, b in zip(found, expected, strict=True))


@given(networks(), st.sampled_from(ALL_BATCHES), st.booleans(), st.booleans())
@examples(60)
def test_a_random_network_is_exported_exactly(
    pair: tuple[NetDef, Weights], batch: int | str, decode: bool, fold: bool
) -> None:
    netdef, weights = pair[0], as_float32(pair[1])
    settings = ExportSettings(batch=batch, decode=decode and bool(netdef.heads), fold_bn=fold)
    images = batch if isinstance(batch, int) else 3
    assert deviation(Source(netdef, weights, settings), images) <= TOLERANCE


@given(networks(), st.data())
@examples(20)
def test_a_pruned_network_is_exported_exactly(pair: tuple[NetDef, Weights], data: st.DataObject) -> None:
    pruned = apply(*pair, data.draw(plans(*pair)))
    source = Source(pruned.netdef, as_float32(pruned.weights), ExportSettings())
    assert deviation(source) <= TOLERANCE


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("name", SECTIONS)
def test_every_kind_of_layer_is_exported_exactly(name: str, fold: bool) -> None:
    netdef, weights = network(SECTIONS[name])
    assert deviation(Source(netdef, weights, ExportSettings(batch=DYNAMIC, fold_bn=fold)), batch=2) <= TOLERANCE


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_exported_exactly(name: str) -> None:
    netdef = parse_netdef(NET + conv(6, 3, name))
    assert deviation(Source(netdef, as_float32(tame_weights(netdef, 0)), ExportSettings()), 1) <= TOLERANCE


HEADS = {
    "yolo": two_heads(),
    "scale_x_y": two_heads(scale=1.2),
    "new_coords": two_heads(new_coords=1, scale=2.0),
    "unequal class counts": two_heads(2, second_classes=4),
    "Gaussian_yolo": two_heads(kinds=("Gaussian_yolo", "yolo")),
    "region": two_heads(3, kinds=("region", "region")),
    "region without softmax": two_heads(kinds=("region without softmax", "region")),
    "an image that is not square": parse_netdef(two_head_cfg().replace("width=64", "width=96")),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_boxes_of_every_kind_of_head_are_decoded_exactly(name: str) -> None:
    netdef = HEADS[name]
    source = Source(netdef, as_float32(tame_weights(netdef, 0)), ExportSettings(batch=DYNAMIC, decode=True))
    assert deviation(source, batch=2) <= TOLERANCE


def test_the_largest_sizes_are_limited_as_in_our_decoding() -> None:
    netdef = two_heads()
    weights = as_float32(tame_weights(netdef, 0))
    for head in netdef.heads:
        weights.conv(head.inputs[0]).bias[2::7] = 50.0
    source = Source(netdef, weights, ExportSettings(decode=True))
    assert deviation(source) <= TOLERANCE
    assert computed(export_network(source), random_images(source, 1))[0][..., 2].max() > 1000


@pytest.mark.parametrize("name", ["toy", "yolov3-nano", "yolov3-tiny", "yolov4-tiny", "yolov4"])
def test_a_network_of_ours_is_exported_exactly(name: str) -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")
    assert deviation(Source(netdef, quick_weights(netdef), ExportSettings(), (64, 96))) <= TOLERANCE


@needs_shared
@pytest.mark.parametrize("name", ZOO)
def test_a_network_in_circulation_is_exported_exactly(name: str) -> None:
    netdef = read_netdef(SHARED / "cfg-zoo" / f"{name}.cfg")
    settings = ExportSettings(batch=DYNAMIC, decode=True)
    assert deviation(Source(netdef, quick_weights(netdef), settings, (64, 64))) <= TOLERANCE


def official(cfg: str, weights: str) -> Source:
    """An official network at 320 pixels."""
    netdef = read_netdef(SHARED / "weights" / f"{cfg}.cfg")
    return Source(netdef, read_weights(SHARED / "weights" / f"{weights}.weights", netdef), ExportSettings(), (320, 320))


@needs_shared
@pytest.mark.parametrize(
    ("cfg", "weights"), [("yolov3-tiny-123", "yolov3-tiny"), ("yolo-fastest-1.1", "yolo-fastest-1.1")]
)
def test_official_weights_are_exported_exactly(cfg: str, weights: str) -> None:
    assert deviation(official(cfg, weights)) <= TOLERANCE
