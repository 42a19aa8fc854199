"""Other programs read an exported file and compute with it what onnxruntime does (compared with ours elsewhere)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from prune.export.build import export_network
from prune.export.settings import IMAGES, ExportSettings
from prune.export.source import Source
from tests.exports import Floats, computed, quick_weights, random_images
from tests.shared import REPOSITORY, SHARED, needs_shared

TOLERANCE = 1e-4
OFFICIAL = {"yolov3-tiny": "yolov3-tiny-123", "yolo-fastest-1.1": "yolo-fastest-1.1"}
"""Official weights and their cfgs."""
NETWORKS = [*OFFICIAL, "yolov4-tiny"]


@cache
def exported(name: str, decode: bool) -> tuple[bytes, Floats, list[str], list[Floats]]:
    """A network for 160 pixels: its file, an image, the names of its outputs, and what onnxruntime computes."""
    folder = SHARED / "weights" if name in OFFICIAL else REPOSITORY / "cfg"
    netdef = read_netdef(folder / f"{OFFICIAL.get(name, name)}.cfg")
    weights = read_weights(folder / f"{name}.weights", netdef) if name in OFFICIAL else quick_weights(netdef)
    source = Source(netdef, weights, ExportSettings(decode=decode), (160, 160))
    model, image = export_network(source), random_images(source, 1)
    names = [output.name for output in model.graph.output]
    return model.SerializeToString(), image, names, computed(model, image)


def assert_close(found: list[Floats], expected: list[Floats]) -> None:
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= TOLERANCE * np.abs(b).max()


@needs_shared
@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_opencv_reads_an_exported_file(name: str, decode: bool) -> None:
    content, image, names, expected = exported(name, decode)
    network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    network.setInput(image, IMAGES)
    assert_close([np.asarray(output) for output in network.forward(names)], expected)


@needs_shared
@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_openvino_reads_an_exported_file(tmp_path: Path, name: str, decode: bool) -> None:
    openvino = pytest.importorskip("openvino")
    content, image, names, expected = exported(name, decode)
    (tmp_path / "net.onnx").write_bytes(content)
    compiled = openvino.Core().compile_model(tmp_path / "net.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(image)
    assert_close([found[output] for output in names], expected)
