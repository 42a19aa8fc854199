"""Darknet itself loads what we write, computes what we compute, and fits images as `--resize align-corners` does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.opencv_parity import our_outputs, relative
from prune.darknet.layers import Head, Region
from prune.darknet.netdef import NetDef, read_netdef
from prune.darknet.records import Weights
from prune.darknet.weights import read_weights
from prune.graph.channels import trace_groups
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.plan.layer import LayerPolicy, plan_layers
from prune.samples.fit import fit_as_darknet, fit_for
from prune.surgery.apply import apply
from tests.shared import REPOSITORY, SHARED, needs_shared
from tests.strategies import as_float32, tame_weights
from tests.torch.darknet_library import darknet_boxes, darknet_fit, needs_darknet

pytestmark = needs_darknet
PARITY = 1e-5
"""Of the network; of pixels ten times as much, as Darknet reckons their places in float32."""


def sized(netdef: NetDef, side: int) -> NetDef:
    return netdef.with_net_option("width", str(side)).with_net_option("height", str(side))


def deviation(netdef: NetDef, weights: Weights, folder: Path) -> float:
    """The largest of boxes, objectness and class scores, each relative to the largest value of its kind."""
    image = np.random.default_rng(1).random((3, netdef.net.height, netdef.net.width), np.float32)
    theirs = darknet_boxes(netdef, weights, image, folder)
    outputs = [out.decoded for out in our_outputs(netdef, weights, image[None])]
    ours = np.concatenate([_rows(head, out) for head, out in zip(netdef.heads, outputs, strict=True)])
    assert ours.shape == theirs.shape
    assert np.ptp(theirs[:, 4]) > 1e-3, "a network that says the same everywhere shows nothing"
    return max(relative(ours[:, kind], theirs[:, kind]) for kind in (slice(4), slice(4, 5), slice(5, None)))


def _rows(head: Head, decoded: NDArray[np.float32]) -> NDArray[np.float32]:
    """(A, H, W, C) → (n, C) in Darknet's order."""
    ordered = decoded if isinstance(head, Region) else decoded.transpose(1, 2, 0, 3)
    return ordered.reshape(-1, decoded.shape[3])


@pytest.mark.parametrize("rule", ["threshold", "share"])
@pytest.mark.parametrize("name", ["yolov3-nano", "yolov3-tiny"])
def test_darknet_loads_a_pruned_pair_and_computes_the_same(tmp_path: Path, name: str, rule: str) -> None:
    netdef = sized(read_netdef(REPOSITORY / f"cfg/{name}.cfg"), 96)
    weights = as_float32(tame_weights(netdef, seed=0))
    assert deviation(netdef, weights, tmp_path) <= PARITY
    policy = ChannelPolicy(percent=0.6, rule=rule)  # type: ignore[arg-type]
    cut = apply(netdef, weights, plan_channels(trace_groups(netdef), weights, policy))
    assert deviation(cut.netdef, cut.weights, tmp_path) <= PARITY
    if name == "yolov3-nano":
        plan = plan_layers(trace_groups(cut.netdef), cut.weights, LayerPolicy(shortcuts=3))
        shorter = apply(cut.netdef, cut.weights, plan)
        assert len(shorter.netdef.layers) < len(cut.netdef.layers)
        assert deviation(shorter.netdef, shorter.weights, tmp_path) <= PARITY


@needs_shared
@pytest.mark.parametrize("name", ["yolov2", "yolov3-tiny-prn"])
def test_darknet_agrees_on_reorg_region_and_uneven_shortcuts(tmp_path: Path, name: str) -> None:
    netdef = sized(read_netdef(SHARED / f"cfg-zoo/{name}.cfg"), 96)
    weights = as_float32(tame_weights(netdef, seed=0))
    policy = ChannelPolicy(percent=0.6, rule="share")
    cut = apply(netdef, weights, plan_channels(trace_groups(netdef), weights, policy))
    assert deviation(netdef, weights, tmp_path) <= PARITY
    assert deviation(cut.netdef, cut.weights, tmp_path) <= PARITY


@needs_shared
def test_darknet_computes_the_same_from_the_official_weights_pruned(tmp_path: Path) -> None:
    netdef = read_netdef(SHARED / "weights/yolov3-tiny-123.cfg")
    weights = read_weights(SHARED / "weights/yolov3-tiny.weights", netdef)
    cut = apply(netdef, weights, plan_channels(trace_groups(netdef), weights, ChannelPolicy(percent=0.3)))
    assert deviation(cut.netdef, cut.weights, tmp_path) <= PARITY


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("size_wh", [(640, 427), (333, 500), (64, 64), (31, 7), (1, 9), (1, 1)])
def test_images_are_fitted_as_darknet_fits_them(tmp_path: Path, size_wh: tuple[int, int], letterbox: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    ours = fit_as_darknet(image, fit_for(size_wh, (96, 96), letterbox)) / 255
    np.testing.assert_allclose(ours, darknet_fit(image, 96, letterbox, tmp_path), atol=1e-4)
