"""Parity with OpenCV's Darknet reader, also of a pruned pair that it reads back from files.

OpenCV divides by sqrt(var + 1e-6), Darknet by sqrt(var + 1e-5): it is fed var + 9e-6.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prune.darknet.netdef import NetDef, format_netdef, read_netdef
from prune.darknet.weights import Weights, read_weights, write_weights
from prune.graph.channels import trace_groups
from prune.model.build import build
from prune.model.state import load_weights
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.surgery.apply import apply
from tests.shared import REPOSITORY, SHARED, needs_shared
from tests.strategies import as_float32, tame_weights

PARITY = 1e-4
Raw = list[NDArray[np.float32]]


def opencv_raw(netdef: NetDef, weights: Weights, image: NDArray[np.float32], folder: Path) -> Raw:
    """What OpenCV computes as the inputs of the heads, from files of its own."""
    records = {
        index: record if record.var is None else replace(record, var=record.var + np.float32(9e-6))
        for index, record in weights.records.items()
    }
    write_weights(folder / "cv.weights", Weights(weights.header, records))
    (folder / "cv.cfg").write_text(format_netdef(netdef))
    net = cv2.dnn.readNetFromDarknet(str(folder / "cv.cfg"), str(folder / "cv.weights"))
    net.setInput(image[None])
    return [np.array(net.forward(f"conv_{head.inputs[0]}"), np.float32) for head in netdef.yolo_heads]


def our_raw(netdef: NetDef, weights: Weights, image: NDArray[np.float32]) -> Raw:
    model = build(netdef).eval()
    load_weights(model, weights)
    with torch.inference_mode():
        return [raw.numpy() for raw in model(torch.from_numpy(image[None]))]


def assert_parity(netdef: NetDef, weights: Weights, folder: Path, side: int) -> None:
    image = np.random.default_rng(0).random((3, side, side), np.float32)
    sized = netdef.with_net_option("width", str(side)).with_net_option("height", str(side))
    pairs = list(zip(our_raw(sized, weights, image), opencv_raw(sized, weights, image, folder), strict=True))
    assert len(pairs) == len(netdef.yolo_heads) > 0
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= PARITY * np.abs(theirs).max()


def pruned(netdef: NetDef, weights: Weights) -> tuple[NetDef, Weights]:
    """60 % of the channels gone."""
    plan = plan_channels(trace_groups(netdef), weights, ChannelPolicy(percent=0.6, rule="share"))
    pair = apply(netdef, weights, plan)
    return pair.netdef, pair.weights


@needs_shared
@pytest.mark.parametrize(
    ("cfg", "weights"), [("yolov3-tiny-123", "yolov3-tiny"), ("yolo-fastest-1.1", "yolo-fastest-1.1")]
)
def test_official_weights_give_what_opencv_computes_also_pruned(tmp_path: Path, cfg: str, weights: str) -> None:
    netdef = read_netdef(SHARED / "weights" / f"{cfg}.cfg")
    official = read_weights(SHARED / "weights" / f"{weights}.weights", netdef)
    assert_parity(netdef, official, tmp_path, 320)
    small, smaller = pruned(netdef, official)
    assert smaller.floats < 0.6 * official.floats
    assert_parity(small, smaller, tmp_path, 320)
    written = read_weights(_written(smaller, tmp_path), small)
    assert written.floats == smaller.floats


def _written(weights: Weights, folder: Path) -> Path:
    write_weights(folder / "pruned.weights", weights)
    return folder / "pruned.weights"


@pytest.mark.parametrize("name", ["toy", "yolov3-nano", "yolov3-tiny", "yolov4-tiny"])
def test_our_networks_give_what_opencv_computes_also_pruned(tmp_path: Path, name: str) -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")
    weights = as_float32(tame_weights(netdef, 0))
    assert_parity(netdef, weights, tmp_path, 64)
    assert_parity(*pruned(netdef, weights), tmp_path, 64)
