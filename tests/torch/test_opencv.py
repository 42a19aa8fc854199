"""Parity with OpenCV's Darknet reader (see `benchmarks.opencv_parity`), also of a pruned pair that it reads back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.opencv_parity import (
    ParityResult,
    UnreadError,
    deviations,
    opencv_outputs,
    our_outputs,
    parity,
    relative,
)
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.records import ConvParams, Weights
from prune.darknet.weights import random_weights, read_weights, write_weights
from prune.graph.channels import trace_groups
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.surgery.apply import apply
from tests.shared import REPOSITORY, SHARED, needs_shared
from tests.strategies import as_float32, tame_weights

PARITY = 1e-4
ZOO = sorted(path.stem for path in (SHARED / "cfg-zoo").glob("*.cfg"))
LARGE = {"yolov4x-mish", "yolov4-csp-swish", "yolov3", "yolov3-voc", "yolov3-spp", "cd53paspp-gamma"}
"""Networks of the zoo whose sections and options are those of smaller ones; `python -m benchmarks.zoo` runs all."""


def sized(netdef: NetDef, side: int) -> NetDef:
    """The network for images of side × side pixels."""
    return netdef.with_net_option("width", str(side)).with_net_option("height", str(side))


def assert_parity(netdef: NetDef, weights: Weights, folder: Path) -> ParityResult:
    result = parity(netdef, weights, folder)
    assert len(result.heads) == len(netdef.heads) > 0
    assert result.worst <= PARITY
    return result


def pruned(netdef: NetDef, weights: Weights) -> tuple[NetDef, Weights]:
    """60 % of the channels removed."""
    plan = plan_channels(trace_groups(netdef), weights, ChannelPolicy(percent=0.6, rule="share"))
    pair = apply(netdef, weights, plan)
    return pair.netdef, pair.weights


def quick_weights(netdef: NetDef) -> Weights:
    """Random float32 weights with γ in 0.3 … 0.7, drawn fast: large networks have 60 million."""
    weights = random_weights(netdef, np.random.default_rng(0))

    def tamed(record: ConvParams) -> ConvParams:
        return (
            record if record.gamma is None else replace(record, gamma=np.float32(0.3) + np.float32(0.2) * record.gamma)
        )

    records = {i: tamed(r) if isinstance(r, ConvParams) else r for i, r in weights.records.items()}
    return Weights(weights.header, records)


@needs_shared
@pytest.mark.parametrize(
    ("cfg", "weights"), [("yolov3-tiny-123", "yolov3-tiny"), ("yolo-fastest-1.1", "yolo-fastest-1.1")]
)
def test_official_weights_give_what_opencv_computes_also_pruned(tmp_path: Path, cfg: str, weights: str) -> None:
    netdef = read_netdef(SHARED / "weights" / f"{cfg}.cfg")
    official = read_weights(SHARED / "weights" / f"{weights}.weights", netdef)
    assert_parity(sized(netdef, 320), official, tmp_path)
    small, smaller = pruned(netdef, official)
    assert smaller.floats < 0.6 * official.floats
    assert_parity(sized(small, 320), smaller, tmp_path)
    write_weights(tmp_path / "pruned.weights", smaller, small)
    assert read_weights(tmp_path / "pruned.weights", small).floats == smaller.floats


@pytest.mark.parametrize("name", ["toy", "yolov3-nano", "yolov3-tiny", "yolov4-tiny"])
def test_our_networks_give_what_opencv_computes_also_pruned(tmp_path: Path, name: str) -> None:
    netdef = sized(read_netdef(REPOSITORY / "cfg" / f"{name}.cfg"), 64)
    weights = as_float32(tame_weights(netdef, 0))
    assert_parity(netdef, weights, tmp_path)
    assert_parity(*pruned(netdef, weights), tmp_path)


@needs_shared
@pytest.mark.parametrize("name", [name for name in ZOO if name not in LARGE])
def test_a_network_of_the_zoo_gives_what_opencv_computes(tmp_path: Path, name: str) -> None:
    netdef = sized(read_netdef(SHARED / "cfg-zoo" / f"{name}.cfg"), 64)
    result = assert_parity(netdef, quick_weights(netdef), tmp_path)
    assert ("OpenCV does not support [Gaussian_yolo]" in result.note) == name.startswith("Gaussian")


CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
HEAD = """[convolutional]
filters=12
size=1
activation=linear
[yolo]
mask=0,1
anchors=3,4, 5,6
classes=1
num=2
"""


def network(section: str) -> NetDef:
    """A section between a convolution and a head."""
    return parse_netdef(f"[net]\nwidth=16\nheight=16\nchannels=3\n{CONV}{CONV}{section}{HEAD}")


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ("[shortcut]\nfrom=-2\nweights_type=per_feature\nactivation=linear\n", "shortcut weights"),
        ("[route]\nlayers=0\n[shortcut]\nfrom=-2,-3\nactivation=linear\n", "first layer of from"),
        ("[upsample]\nstride=2\nscale=0.5\n", "scale of"),
        ("[maxpool]\nmaxpool_depth=1\nout_channels=4\nsize=1\nstride=1\n", "maxpool_depth"),
        (CONV.replace("pad=1", "pad=1\ndilation=2"), "dilation"),
        ("[softmax]\n", "softmax over channels"),
        ("[reorg]\nstride=2\nreverse=1\n", "reverse"),
        (
            CONV + "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation=leaky\nshare_index=1\n",
            "share_index",
        ),
    ],
)
def test_where_opencv_deviates_it_is_known_and_really_does(tmp_path: Path, section: str, what: str) -> None:
    netdef = network(section)
    weights = as_float32(tame_weights(netdef, 0))
    result = parity(netdef, weights, tmp_path)
    assert what in result.note
    assert result.worst > 100 * PARITY


@pytest.mark.parametrize(
    "section",
    ["[reorg3d]\nstride=2\n", "[local_avgpool]\nsize=2\n", CONV.replace("leaky", "selu"), CONV + "[connected]\n"],
)
def test_what_opencv_does_not_read_is_reported(tmp_path: Path, section: str) -> None:
    netdef = network(section)
    with pytest.raises(UnreadError, match=r"\w{4}"):
        parity(netdef, as_float32(tame_weights(netdef, 0)), tmp_path)


def test_the_comparison_sees_one_wrong_weight(tmp_path: Path) -> None:
    netdef = network("")
    weights = as_float32(tame_weights(netdef, 0))
    assert deviations(netdef) == []
    assert_parity(netdef, weights, tmp_path)
    image = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    theirs = opencv_outputs(netdef, weights, tmp_path, image)[0].raw
    weights.conv(1).weight[0, 0, 1, 1] += 0.5
    assert relative(our_outputs(netdef, weights, image)[0].raw, theirs) > 10 * PARITY


def test_a_network_without_heads_cannot_be_compared(tmp_path: Path) -> None:
    netdef = parse_netdef(f"[net]\nwidth=16\nheight=16\nchannels=3\n{CONV}")
    with pytest.raises(ValueError, match="no detection head"):
        parity(netdef, as_float32(tame_weights(netdef, 0)), tmp_path)
