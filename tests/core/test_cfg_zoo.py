"""The cfgs in circulation: written back byte for byte, understood without a warning, with shapes and weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prune.darknet.netdef import format_netdef, read_netdef
from prune.darknet.shapes import largest_stride, shapes
from prune.darknet.weights import random_weights, read_weights, write_weights
from prune.files.writing import encode_text
from prune.graph.cost import network_cost
from tests.shared import SHARED, needs_shared

CFGS = sorted([*(SHARED / "cfg-zoo").glob("*.cfg"), *(SHARED / "weights").glob("*.cfg")])
SMALL = ("yolo-fastest-1.1", "enet-coco", "yolov3-tiny-prn", "yolov7-tiny")
pytestmark = needs_shared


@pytest.mark.parametrize("path", CFGS, ids=lambda path: path.stem)
def test_a_cfg_in_circulation_is_written_back_byte_for_byte(path: Path) -> None:
    assert encode_text(format_netdef(read_netdef(path))) == path.read_bytes()


@pytest.mark.parametrize("path", CFGS, ids=lambda path: path.stem)
def test_a_cfg_in_circulation_is_understood_without_a_warning(path: Path) -> None:
    netdef = read_netdef(path)
    assert netdef.warnings == ()
    found = shapes(netdef)
    assert [found[head.index].channels for head in netdef.heads] == [head.channels for head in netdef.heads]
    assert largest_stride(netdef) == 32
    cost = network_cost(netdef)
    assert cost.parameters > 100_000
    assert cost.bflops > 0.1


@pytest.mark.parametrize("path", [path for path in CFGS if path.stem in SMALL], ids=lambda path: path.stem)
def test_weights_of_a_cfg_in_circulation_go_to_a_file_and_back(path: Path, tmp_path: Path) -> None:
    netdef = read_netdef(path)
    weights = random_weights(netdef, np.random.default_rng(0))
    write_weights(tmp_path / "a.weights", weights, netdef)
    again = read_weights(tmp_path / "a.weights", netdef)
    assert (tmp_path / "a.weights").stat().st_size == network_cost(netdef).weights_bytes
    assert again.records.keys() == weights.records.keys()
    for index, record in weights.records.items():
        pairs = zip(record.arrays(), again.records[index].arrays(), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
