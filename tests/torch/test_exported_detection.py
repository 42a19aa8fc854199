"""evaluate.py and detect.py on exported files: they find what the Darknet pair finds."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import detect
import evaluate
from prune.cli import exit_code
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from prune.detect.evaluate import examine
from prune.detect.settings import EvaluateSettings
from prune.errors import DeploymentError, FileError, UsageError
from prune.export.settings import DYNAMIC, ExportSettings
from prune.model.files import load_network
from prune.runtimes.exported import ExportedModel
from prune.runtimes.open import read_detector
from prune.samples.coco_json import read_coco
from tests.datasets import write_noise
from tests.runtime_networks import two_headed, write_pair
from tests.shared import SHARED, needs_shared

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

Run = Callable[..., int]


def export(cfg: Path, weights: Path, settings: ExportSettings, names: tuple[str, ...] | None = None) -> Path:
    from prune.export.build import export_network
    from prune.export.source import Source

    netdef = read_netdef(cfg)
    path = cfg.with_suffix(".onnx")
    source = Source(netdef, read_weights(weights, netdef), settings, names=names)
    path.write_bytes(export_network(source).SerializeToString())
    return path


def opened(onnx: Path) -> ExportedModel:
    found = read_detector(None, onnx).open("auto")
    assert isinstance(found, ExportedModel)
    return found


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return write_pair(tmp_path, "net", two_headed(4))


@pytest.mark.parametrize("batch", [1, 2, DYNAMIC])
def test_an_exported_file_computes_the_maps_of_its_pair_for_any_number_of_images(
    pair: tuple[Path, Path], batch: int | str
) -> None:
    model = load_network(read_netdef(pair[0]), pair[1], "cpu").eval()
    exported = opened(export(*pair, ExportSettings(batch=batch)))
    imgs = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        found, expected = exported(imgs), model(imgs)
    assert exported.heads == model.heads
    assert [a.shape for a in found] == [b.shape for b in expected]
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).abs().max() / b.abs().max()) < 1e-5


@needs_shared
def test_the_ap_of_an_exported_file_is_that_of_its_pair(tmp_path: Path) -> None:
    weights, images = SHARED / "weights", SHARED / "coco-mini"
    (tmp_path / "fastest.cfg").write_bytes((weights / "yolo-fastest-1.1.cfg").read_bytes())
    cfg, binary = tmp_path / "fastest.cfg", weights / "yolo-fastest-1.1.weights"
    names = tuple((weights / "coco.names").read_text().split("\n")[:80])
    samples = read_coco(images / "annotations" / "instances_val2017.json", names, images / "val2017")
    few = replace(samples, samples=samples.samples[:10])
    settings = EvaluateSettings(ap="coco", batch_size=8)
    expected, _, _ = examine(load_network(read_netdef(cfg), binary, "cpu"), few, settings)
    found, _, _ = examine(opened(export(cfg, binary, ExportSettings(batch=4))), few, settings)
    assert expected.numbers["ap"] > 0.05
    assert found.numbers == pytest.approx(expected.numbers, abs=1e-4)


def test_images_of_another_size_are_refused(pair: tuple[Path, Path]) -> None:
    exported = opened(export(*pair, ExportSettings()))
    with pytest.raises(FileError, match="takes images of 32x32 only, not 64x32: leave out --img-size and --rect"):
        exported(torch.zeros(1, 3, 32, 64))


def test_decoded_boxes_a_gpu_and_other_files_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FileError, match="export it without --decode"):
        opened(export(*pair, ExportSettings(decode=True)))
    onnx = export(*pair, ExportSettings())
    with pytest.raises(UsageError, match=r"--device cuda: .*net\.onnx runs on the CPU"):
        read_detector(None, onnx).open("cuda")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(FileError, match=r"text\.onnx"):
        read_detector(None, tmp_path / "text.onnx")


def test_without_onnxruntime_the_line_says_what_to_install(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = export(*pair, ExportSettings())
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    with pytest.raises(DeploymentError, match="onnxruntime is not installed; pip install onnx onnxruntime"):
        read_detector(None, onnx)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command's main with arguments; returns its exit code."""

    def call(main: Callable[[], int], *arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", [f"{main.__module__.rpartition('.')[2]}.py", *map(str, arguments)])
        try:
            return exit_code(main)
        except SystemExit as left:
            return int(left.code or 0)

    return call


def summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_evaluate_measures_an_exported_file(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    write_noise(tmp_path / "a.png", 0)
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'a.png'}\n")
    (tmp_path / "set.names").write_text("cat\ndog\n")
    (tmp_path / "set.data").write_text(f"classes=2\nvalid={tmp_path}/list.txt\nnames={tmp_path}/set.names\n")
    common = ["--data", tmp_path / "set.data", "--no-plots", "--save-json", "--out"]
    onnx = export(*pair, ExportSettings())
    assert run(evaluate.main, "--cfg", pair[0], "--weights", pair[1], *common, tmp_path / "pair") == 0
    assert run(evaluate.main, "--weights", onnx, *common, tmp_path / "onnx") == 0
    expected, found = summary(tmp_path / "pair"), summary(tmp_path / "onnx")
    assert found["parameters"] == expected["parameters"]
    assert found["img_size"] == [32, 32]
    assert [Path(record["path"]).name for record in found["inputs"]] == ["net.onnx", "set.data"]
    boxes = [json.loads((tmp_path / name / "detections.json").read_text()) for name in ("pair", "onnx")]
    scores = [[box["score"] for box in found] for found in boxes]
    assert len(scores[0]) > 0
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)


def test_detect_draws_what_an_exported_file_finds_under_its_own_class_names(
    run: Run, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64, 3), 90, np.uint8))
    onnx = export(*pair, ExportSettings(), ("cat", "dog"))
    flags = ["--weights", onnx, "--source", tmp_path / "a.png", "--conf-thres", 0.1, "--out", tmp_path / "out"]
    assert run(detect.main, *flags, "--compare", *pair, "--save-crop") == 0
    compared = summary(tmp_path / "out")["compared"]
    assert compared["detections"] == compared["in_both"] > 0
    assert {path.name for path in (tmp_path / "out" / "crops").iterdir()} <= {"cat", "dog"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cfg", "net.cfg", "--weights", "net.onnx"], "net.onnx contains its own network: leave --cfg out"),
        (["--weights", "net.weights"], "--cfg FILE is missing"),
        (["--weights", "net.onnx", "--compare", "a.cfg"], "--compare takes two files"),
        (["--weights", "net.onnx", "--compare", "a.cfg", "b.onnx"], "--compare takes two files"),
    ],
)
def test_a_pair_needs_a_cfg_and_an_exported_file_none(
    run: Run, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert run(detect.main, *flags, "--source", "a.png") == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
