from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from prune.darknet.layers import Yolo
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights, write_weights
from prune.detect.coco_json import read_coco
from prune.detect.evaluate import evaluate, examine, write_detections
from prune.detect.metrics import Metrics
from prune.detect.sample import Annotation, Sample, SampleSet, sample_from_pixels
from prune.detect.settings import EvaluateSettings, Protocol
from prune.errors import DataError, UsageError
from prune.model.build import DarknetModel, build
from prune.model.state import load_weights, to_weights
from tests.shared import REPOSITORY, SHARED, needs_shared
from tests.torch.heads import two_head_cfg, two_heads

IMAGE_WH = (200, 100)
# The second and fourth are for a difficult and a crowd object.
OBJECTS = ((20, 10, 80, 60, 0), (100, 20, 180, 90, 1), (110, 5, 150, 35, 1))


def write_image(path: Path) -> Path:
    cv2.imwrite(str(path), np.full((IMAGE_WH[1], IMAGE_WH[0], 3), 90, np.uint8))
    return path


def sample_set(folder: Path, source: str = "voc", images: int = 3, difficult: bool = False) -> SampleSet:
    objects = [Annotation(o[4], o[:4], difficult=difficult and n == 2, area=1.0) for n, o in enumerate(OBJECTS)]
    samples: list[Sample] = [
        sample_from_pixels(write_image(folder / f"{n}.png"), n, IMAGE_WH, objects) for n in range(images)
    ]
    return SampleSet(tuple(samples), ("cat", "dog"), source)


class Oracle(DarknetModel):
    """Answers every image with the boxes it was given, cxcywh as fractions of the network input."""

    def __init__(self, boxes: list[tuple[float, float, float, float, int]]) -> None:
        super().__init__(two_heads(size=64))
        self.boxes = boxes

    def forward(self, imgs: Tensor) -> list[Tensor]:
        assert not self.training
        assert imgs.shape[1:] == (3, 64, 64)
        assert 0 <= float(imgs.min()) <= float(imgs.max()) <= 1
        raw = [
            torch.full((len(imgs), h.channels, side, side), -12.0) for h, side in zip(self.heads, (4, 8), strict=True)
        ]
        for box in self.boxes:
            _answer(raw[1], self.heads[1], box)
        return raw


def _answer(raw: Tensor, head: Yolo, box: tuple[float, float, float, float, int]) -> None:
    cx, cy, w, h, label = box
    column, row = int(cx * 8), int(cy * 8)
    anchor_w, anchor_h = head.masked_anchors[0]
    xy = torch.tensor([cx * 8 - column, cy * 8 - row]).logit()
    wh = torch.tensor([w * 64 / anchor_w, h * 64 / anchor_h]).log()
    raw[:, :7, row, column] = torch.cat((xy, wh, torch.tensor([9.0]), torch.tensor([9.0, -12.0]).roll(label)))


def answers(letterbox: bool) -> list[tuple[float, float, float, float, int]]:
    found = []
    for x0, y0, x1, y1, label in OBJECTS:
        cx, cy, w, h = (x0 + x1) / 400, (y0 + y1) / 200, (x1 - x0) / 200, (y1 - y0) / 100
        if letterbox:  # 200×100 becomes 64×32, 16 pixels from the top
            cy, h = cy / 2 + 0.25, h / 2
        found.append((cx, cy, w, h, label))
    return found


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("protocol", ["coco", "voc07", "voc10"])
def test_a_network_that_is_right_scores_one(tmp_path: Path, protocol: Protocol, letterbox: bool) -> None:
    settings = EvaluateSettings(ap=protocol, letterbox=letterbox, batch_size=2)
    metrics = evaluate(Oracle(answers(letterbox)), sample_set(tmp_path), settings)
    assert metrics.ap50 == pytest.approx(1.0)
    assert metrics.per_class == pytest.approx({"cat": 1.0, "dog": 1.0})
    assert (metrics.images, metrics.skipped, metrics.img_size) == (3, 0, (64, 64))
    assert metrics.fit == ("letterbox" if letterbox else "stretch")
    assert (metrics.ap is None) == (protocol != "coco")


def test_detections_lie_where_the_objects_are_in_pixels_of_the_image(tmp_path: Path) -> None:
    samples = sample_set(tmp_path, "coco", images=1)
    _, detected, faults = examine(Oracle(answers(True)), samples, EvaluateSettings(letterbox=True))
    found = detected[0].found[detected[0].found[:, 4] > 0.5]
    order = np.lexsort((found[:, 1], found[:, 5]))
    expected = sorted(OBJECTS, key=lambda o: (o[4], o[1]))
    assert np.allclose(found[order][:, [0, 1, 2, 3, 5]], expected, atol=0.05)
    assert not faults
    write_detections(tmp_path / "found.json", detected, samples)
    entries = json.loads((tmp_path / "found.json").read_text())
    assert {e["category_id"] for e in entries} == {1, 2}
    assert entries[0]["image_id"] == 0


def test_a_missed_object_lowers_the_score_unless_it_is_difficult(tmp_path: Path) -> None:
    model, settings = Oracle(answers(False)[:2]), EvaluateSettings(ap="voc10")
    assert evaluate(model, sample_set(tmp_path), settings).per_class["dog"] == pytest.approx(0.5)
    assert evaluate(model, sample_set(tmp_path, difficult=True), settings).per_class["dog"] == pytest.approx(1.0)


def test_the_protocol_follows_the_source_unless_it_is_named(tmp_path: Path) -> None:
    model = Oracle(answers(False))
    assert evaluate(model, sample_set(tmp_path, "coco", 1), EvaluateSettings()).protocol == "coco"
    assert evaluate(model, sample_set(tmp_path, "list", 1), EvaluateSettings()).protocol == "voc10"
    assert evaluate(model, sample_set(tmp_path, "coco", 1), EvaluateSettings(ap="voc07")).protocol == "voc07"


@pytest.mark.parametrize("protocol", ["coco", "voc10"])
def test_a_network_that_finds_nothing_scores_zero(tmp_path: Path, protocol: Protocol) -> None:
    metrics = evaluate(Oracle([]), sample_set(tmp_path), EvaluateSettings(ap=protocol, conf_thres=0.5))
    assert metrics.ap50 == 0.0


def test_a_network_with_weights_that_are_not_finite_scores_zero(tmp_path: Path) -> None:
    model = build(two_heads())
    torch.nn.init.constant_(model.block(0).conv.weight, float("nan"))
    assert evaluate(model, sample_set(tmp_path), EvaluateSettings(ap="coco")).ap == 0.0


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(tmp_path: Path, training: bool) -> None:
    model = build(two_heads()).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, sample_set(tmp_path), EvaluateSettings())
    assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_object_without_a_segment_is_as_large_as_its_box(tmp_path: Path) -> None:
    boxes_only = sample_set(tmp_path)
    without = tuple(replace(sample, areas=np.zeros(3)) for sample in boxes_only.samples)
    settings = EvaluateSettings(ap="coco")
    metrics = evaluate(Oracle(answers(False)), replace(boxes_only, samples=without), settings)
    assert metrics.sizes == {"medium": pytest.approx(1.0)}
    assert list(evaluate(Oracle(answers(False)), boxes_only, settings).sizes) == ["small"]


def test_images_that_do_not_decode_are_left_out_and_named(tmp_path: Path) -> None:
    samples = sample_set(tmp_path)
    (tmp_path / "1.png").write_bytes(b"no image")
    metrics, _, faults = examine(Oracle(answers(False)), samples, EvaluateSettings(ap="coco", batch_size=1))
    assert (metrics.images, metrics.skipped) == (2, 1)
    assert metrics.ap50 == pytest.approx(1.0)
    assert "1.png" in faults.summary()
    for name in ("0.png", "2.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match="nor does any other"):
        evaluate(Oracle(answers(False)), samples, EvaluateSettings())


def test_other_classes_and_impossible_sizes_are_usage_errors(tmp_path: Path) -> None:
    samples = sample_set(tmp_path, images=1)
    with pytest.raises(UsageError, match="3 classes and the data 2"):
        evaluate(build(two_heads(3)), samples, EvaluateSettings())
    with pytest.raises(UsageError, match="multiples of 16"):
        evaluate(build(two_heads()), samples, EvaluateSettings(img_size=(72, 64)))
    with pytest.raises(UsageError, match="NMS threshold"):
        EvaluateSettings(nms_thres=1.5)


def test_a_metric_that_was_not_computed_is_absent_from_the_summary() -> None:
    metrics = Metrics(
        protocol="voc07",
        images=1,
        img_size=(64, 32),
        fit="stretch",
        conf=0.001,
        nms=0.6,
        ap50=0.25,
        per_class={"a": 0.25},
    )
    summary = metrics.summary()
    assert "ap" not in summary
    assert "ap75" not in summary
    assert (summary["ap50"], summary["per_class"], summary["img_size"]) == (0.25, {"a": 0.25}, [64, 32])
    assert metrics.rows(classes=True) == [("ap50", 0.25), ("a", 0.25)]
    assert metrics.per_class_csv() == "class,ap\na,0.25\n"


def test_the_command_writes_its_summary_and_the_detections(tmp_path: Path) -> None:
    netdef = two_heads()
    (tmp_path / "net.cfg").write_text(two_head_cfg())
    write_weights(tmp_path / "net.weights", to_weights(build(netdef)))
    (tmp_path / "set.names").write_text("cat\ndog\n")
    (tmp_path / "list.txt").write_text(f"{write_image(tmp_path / 'a.png')}\n")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "set.data").write_text("classes=2\nvalid=list.txt\nnames=set.names\n")
    command: list[str | Path] = [
        sys.executable,
        "evaluate.py",
        "--cfg",
        tmp_path / "net.cfg",
        "--weights",
        tmp_path / "net.weights",
        "--data",
        tmp_path / "set.data",
        "--out",
        tmp_path / "out",
        "--save-json",
        "--ap",
        "coco",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["protocol"], summary["images"], summary["fit"]) == ("coco", 1, "stretch")
    assert summary["parameters"] == read_weights(tmp_path / "net.weights", netdef).floats
    assert {Path(o["path"]).name for o in summary["outputs"]} == {"per_class.csv", "detections.json"}
    again = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


# FACTS of the official weights, by another detector (OpenCV's) and pycocotools.
REFERENCE = {False: (0.2350, 0.4696), True: (0.2297, 0.4605)}


@needs_shared
@pytest.mark.parametrize("letterbox", [False, True])
def test_official_yolov3_tiny_reaches_its_known_ap_on_real_images(letterbox: bool) -> None:
    weights, images = SHARED / "weights", SHARED / "coco-mini"
    netdef = read_netdef(weights / "yolov3-tiny-123.cfg")
    model = build(netdef)
    load_weights(model, read_weights(weights / "yolov3-tiny.weights", netdef))
    names = tuple((weights / "coco.names").read_text().split("\n")[:80])
    samples = read_coco(images / "annotations" / "instances_val2017.json", names, images / "val2017")
    metrics = evaluate(model, samples, EvaluateSettings(ap="coco", letterbox=letterbox))
    assert metrics.images == 79
    assert (metrics.ap, metrics.ap50) == pytest.approx(REFERENCE[letterbox], abs=0.003)
