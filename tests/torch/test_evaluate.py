from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.coco_mini import NAMES, REFERENCE, tolerance
from benchmarks.coco_opencv import TWELVE, by_opencv
from prune.darknet.layers import Head, Yolo
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights, write_weights
from prune.detect.evaluate import evaluate, examine
from prune.detect.settings import EvaluateSettings
from prune.errors import DataError, UsageError
from prune.metrics.detections import Detected
from prune.metrics.measure import measure, write_detections
from prune.metrics.result import Inference, Metrics
from prune.metrics.settings import Protocol
from prune.model.build import DarknetModel
from prune.model.fused import fused
from prune.model.state import load_weights, to_weights
from prune.samples.coco_json import read_coco
from prune.samples.labels import Labels
from prune.samples.sample import Annotation, Sample, SampleSet, sample_from_pixels
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
    """Returns the given boxes for every image, cxcywh as fractions of the network input."""

    def __init__(self, boxes: list[tuple[float, float, float, float, int]]) -> None:
        super().__init__(two_heads(size=64))
        self.boxes, self.input_hw = boxes, (64, 64)

    def forward(self, imgs: Tensor) -> list[Tensor]:
        assert not self.training
        assert imgs.shape[1:] == (3, *self.input_hw)
        assert 0 <= float(imgs.min()) <= float(imgs.max()) <= 1
        raw = [
            torch.full((len(imgs), h.channels, imgs.shape[2] // stride, imgs.shape[3] // stride), -12.0)
            for h, stride in zip(self.heads, (16, 8), strict=True)
        ]
        for box in self.boxes:
            _answer(raw[1], self.heads[1], box)
        return raw


def _answer(raw: Tensor, head: Head, box: tuple[float, float, float, float, int]) -> None:
    cx, cy, w, h, label = box
    height, width = raw.shape[2:]
    column, row = int(cx * width), int(cy * height)
    anchor_w, anchor_h = head.masked_anchors[0]
    xy = torch.tensor([cx * width - column, cy * height - row]).logit()
    wh = torch.tensor([w * width * 8 / anchor_w, h * height * 8 / anchor_h]).log()
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
@pytest.mark.parametrize("protocol", ["coco", "voc07", "voc10", "darknet"])
def test_a_network_that_is_right_scores_one(tmp_path: Path, protocol: Protocol, letterbox: bool) -> None:
    settings = EvaluateSettings(ap=protocol, letterbox=letterbox, batch_size=2)
    metrics = evaluate(Oracle(answers(letterbox)), sample_set(tmp_path), settings)
    assert metrics.ap50 == pytest.approx(1.0)
    assert metrics.per_class == pytest.approx({"cat": 1.0, "dog": 1.0})
    assert (metrics.images, metrics.skipped, metrics.summary()["img_size"]) == (3, 0, [64, 64])
    assert metrics.summary()["fit"] == ("letterbox" if letterbox else "stretch")
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


def test_a_letterbox_without_border_finds_the_same_places(tmp_path: Path) -> None:
    # 200×100 becomes 64×32, a multiple of the stride: no border is left.
    model = Oracle(answers(False))
    model.input_hw = (32, 64)
    settings = EvaluateSettings(ap="voc10", letterbox=True, rect=True)
    metrics, detected, _ = examine(model, sample_set(tmp_path), settings)
    assert metrics.ap50 == pytest.approx(1.0)
    assert metrics.summary()["rect"] is True
    found = detected[0].found[detected[0].found[:, 4] > 0.5]
    order = np.lexsort((found[:, 1], found[:, 5]))
    expected = sorted(OBJECTS, key=lambda o: (o[4], o[1]))
    assert np.allclose(found[order][:, [0, 1, 2, 3, 5]], expected, atol=0.05)


def test_images_of_different_shapes_come_back_in_their_order(tmp_path: Path) -> None:
    sizes = [(200, 100), (100, 200), (200, 100), (100, 100), (100, 200)]
    samples = []
    for n, (width, height) in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((height, width, 3), 90, np.uint8))
        samples.append(sample_from_pixels(tmp_path / f"{n}.png", n, (width, height), []))
    settings = EvaluateSettings(ap="voc10", letterbox=True, rect=True, batch_size=2)
    _, detected, _ = examine(
        DarknetModel(two_heads(size=64)), SampleSet(tuple(samples), ("cat", "dog"), "voc"), settings
    )
    assert [d.sample.image_id for d in detected] == [0, 1, 2, 3, 4]
    assert [d.size_wh for d in detected] == sizes


def test_a_letterbox_without_border_needs_a_letterbox(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be combined with --stretch"):
        EvaluateSettings(rect=True, letterbox=False)
    with pytest.raises(UsageError, match="the cfg asks for stretching"):
        evaluate(DarknetModel(two_heads()), sample_set(tmp_path, images=1), EvaluateSettings(rect=True))


def test_folding_batch_norms_changes_no_result(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = DarknetModel(two_heads())
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.2, 2)
            torch.nn.init.uniform_(module.weight, -1, 1)
            torch.nn.init.uniform_(module.bias, -1, 1)
    imgs, twin = torch.rand(2, 3, 64, 64), fused(model)
    with torch.no_grad():
        for plain, folded in zip(model.eval()(imgs), twin(imgs), strict=True):
            assert (plain - folded).abs().max() <= 1e-5 * plain.abs().max()
    assert not [m for m in twin.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    settings = EvaluateSettings(ap="voc10", conf_thres=0.0)
    one, other = (examine(model, sample_set(tmp_path), replace(settings, fuse=fuse))[1] for fuse in (True, False))
    assert len(one[0].found) > 0
    assert np.allclose(one[0].found, other[0].found, rtol=1e-5, atol=1e-4)


def test_darknets_protocol_has_its_own_thresholds_resize_and_kind_of_nms(tmp_path: Path) -> None:
    samples = sample_set(tmp_path, images=1)
    settings = EvaluateSettings(ap="darknet", points=11)
    metrics = evaluate(Oracle(answers(False)), samples, settings)
    made = metrics.origin
    assert isinstance(made, Inference)
    assert (made.conf, made.nms, made.resize, made.nms_kind) == (0.005, 0.45, "align-corners", "greedy")
    assert metrics.details["points"] == 11
    chosen = evaluate(Oracle([]), samples, EvaluateSettings(ap="darknet", conf_thres=0.1, nms_thres=0.3))
    assert (chosen.summary()["conf_thres"], chosen.summary()["nms_thres"]) == (0.1, 0.3)
    model = Oracle([])
    for kind, expected in (("greedynms", "diou^0.6"), ("diounms", "diou^0.9"), ("default", "greedy")):
        last = model.heads[1]
        assert isinstance(last, Yolo)
        model.heads = (model.heads[0], replace(last, nms_kind=kind, beta_nms=0.9))
        assert evaluate(model, samples, EvaluateSettings(ap="darknet")).summary()["nms_kind"] == expected
        assert evaluate(model, samples, EvaluateSettings(ap="voc10")).summary()["nms_kind"] == "greedy"
    assert evaluate(model, samples, EvaluateSettings(ap="voc10", nms_kind="diou")).summary()["nms_kind"] == "diou^1"


def test_only_darknets_protocol_leaves_boxes_beyond_the_image(tmp_path: Path) -> None:
    samples, beyond = sample_set(tmp_path, images=1), Oracle([(0.05, 0.5, 0.4, 0.4, 0)])
    (clipped,) = examine(beyond, samples, EvaluateSettings(ap="voc10", conf_thres=0.5))[1]
    (whole,) = examine(beyond, samples, EvaluateSettings(ap="darknet", conf_thres=0.5))[1]
    assert clipped.found[0, 0] == 0
    assert whole.found[0, 0] == pytest.approx((0.05 - 0.2) * 200, abs=0.1)


def test_the_command_names_protocol_and_conditions(tmp_path: Path) -> None:
    done = run_evaluate(tmp_path, "--ap", "darknet", "--per-class", "--points", "101")
    assert done.returncode == 0, done.stderr
    assert "darknet (101 points), 1 images, 64x64 stretch align-corners, conf 0.005, nms 0.45" in done.stdout
    assert "note: 1 of 2 classes without objects" in done.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["protocol"], summary["resize"]) == ("darknet", "align-corners")
    assert "ap50" in summary
    header = (tmp_path / "out" / "per_class.csv").read_text().splitlines()[0]
    assert header.startswith("class,ap")
    assert (tmp_path / "out" / "confusion.csv").read_text().startswith("true \\ detected,cat,dog,background")


def run_evaluate(folder: Path, *flags: str, labels: str = "0 0.5 0.5 0.2 0.2\n") -> subprocess.CompletedProcess[str]:
    """The command on one image."""
    netdef = two_heads()
    (folder / "net.cfg").write_text(two_head_cfg())
    write_weights(folder / "net.weights", to_weights(DarknetModel(netdef)), netdef)
    (folder / "set.names").write_text("cat\ndog\n")
    (folder / "list.txt").write_text(f"{write_image(folder / 'a.png')}\n")
    (folder / "a.txt").write_text(labels)
    (folder / "set.data").write_text("classes=2\nvalid=list.txt\nnames=set.names\n")
    network: list[str | Path] = ["--cfg", folder / "net.cfg", "--weights", folder / "net.weights"]
    return run_command("evaluate.py", *network, "--data", folder / "set.data", "--out", folder / "out", *flags)


def run_command(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=REPOSITORY, capture_output=True, text=True, check=False)


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
    model = DarknetModel(two_heads())
    torch.nn.init.constant_(model.block(0).conv.weight, float("nan"))
    assert evaluate(model, sample_set(tmp_path), EvaluateSettings(ap="coco")).ap == 0.0


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_not_changed(tmp_path: Path, training: bool) -> None:
    model = DarknetModel(two_heads()).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, sample_set(tmp_path), EvaluateSettings())
    assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_object_without_a_segment_is_as_large_as_its_box(tmp_path: Path) -> None:
    boxes_only = sample_set(tmp_path)
    without = tuple(replace(sample, areas=np.zeros(3)) for sample in boxes_only.samples)
    settings = EvaluateSettings(ap="coco")
    metrics = evaluate(Oracle(answers(False)), replace(boxes_only, samples=without), settings)
    assert metrics.numbers["ap_medium"] == pytest.approx(1.0)
    assert "ap_small" not in metrics.numbers
    assert "ap_small" in evaluate(Oracle(answers(False)), boxes_only, settings).numbers


def test_images_that_cannot_be_decoded_are_left_out_and_named(tmp_path: Path) -> None:
    samples = sample_set(tmp_path)
    (tmp_path / "1.png").write_bytes(b"no image")
    metrics, _, faults = examine(Oracle(answers(False)), samples, EvaluateSettings(ap="coco", batch_size=1))
    assert (metrics.images, metrics.skipped) == (2, 1)
    assert metrics.ap50 == pytest.approx(1.0)
    assert "1.png" in faults.summary()
    for name in ("0.png", "2.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match="nor can any other"):
        evaluate(Oracle(answers(False)), samples, EvaluateSettings())


def test_other_classes_and_impossible_sizes_are_usage_errors(tmp_path: Path) -> None:
    samples = sample_set(tmp_path, images=1)
    with pytest.raises(UsageError, match="3 classes and the data 2"):
        evaluate(DarknetModel(two_heads(3)), samples, EvaluateSettings())
    with pytest.raises(UsageError, match="multiples of 16"):
        evaluate(DarknetModel(two_heads()), samples, EvaluateSettings(img_size=(72, 64)))
    with pytest.raises(UsageError, match=r"--nms-thres 1.5 must be within \[0, 1\]"):
        EvaluateSettings(nms_thres=1.5)


def test_a_metric_that_was_not_computed_is_absent_from_the_summary() -> None:
    metrics = Metrics(
        protocol="voc07",
        images=1,
        origin=Inference(img_size=(64, 32), fit="stretch", conf=0.001, nms=0.6),
        numbers={"ap50": 0.25},
        per_class={"a": 0.25},
    )
    summary = metrics.summary()
    assert "ap" not in summary
    assert "ap75" not in summary
    assert (summary["ap50"], summary["per_class"], summary["img_size"]) == (0.25, {"a": 0.25}, [64, 32])
    assert metrics.rows(classes=True) == [("ap50", 0.25), ("a", 0.25)]
    assert metrics.per_class_csv() == "class,ap\na,0.25\n"


def test_the_command_writes_its_summary_and_the_detections(tmp_path: Path) -> None:
    done = run_evaluate(tmp_path, "--save-json", "--ap", "coco")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["protocol"], summary["images"], summary["fit"]) == ("coco", 1, "stretch")
    assert summary["parameters"] == read_weights(tmp_path / "net.weights", two_heads()).floats
    names = {"per_class.csv", "confusion.csv", "detections.json"}
    assert names <= {Path(o["path"]).name for o in summary["outputs"]}
    again = run_evaluate(tmp_path, "--save-json", "--ap", "coco")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


@pytest.mark.parametrize("network", ["yolov3-tiny", "yolo-fastest-1.1"])
@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@needs_shared
def test_official_networks_reach_their_known_coco_numbers_on_real_images(network: str, fit: str) -> None:
    weights, images = SHARED / "weights", SHARED / "coco-mini"
    netdef = read_netdef(weights / {"yolov3-tiny": "yolov3-tiny-123.cfg"}.get(network, f"{network}.cfg"))
    model = DarknetModel(netdef)
    load_weights(model, read_weights(weights / f"{network}.weights", netdef))
    names = tuple((weights / "coco.names").read_text().split("\n")[:80])
    samples = read_coco(images / "annotations" / "instances_val2017.json", names, images / "val2017")
    metrics = evaluate(model, samples, EvaluateSettings(ap="coco", letterbox=fit == "letterbox"))
    assert metrics.images == 79
    assert len(metrics.numbers) == 12
    for name, known in zip(NAMES, REFERENCE[f"{network}-{fit}"], strict=True):
        assert metrics.numbers[name] == pytest.approx(known, abs=tolerance(name)), name
    theirs = by_opencv(Path(netdef.path), weights / f"{network}.weights", SHARED, fit == "letterbox")
    for name, known in zip(TWELVE, theirs, strict=True):
        assert metrics.numbers[name] == pytest.approx(known, abs=tolerance(name)), name


@pytest.mark.parametrize("protocol", ["coco", "voc07", "darknet"])
def test_the_saved_detections_score_as_the_network_itself(tmp_path: Path, protocol: str) -> None:
    run_evaluate(tmp_path, "--save-json", "--ap", protocol)
    labels = labels_of(json.loads((tmp_path / "out/detections.json").read_text()))
    done = run_evaluate(tmp_path, "--save-json", "--ap", protocol, "--overwrite", labels=labels)
    assert done.returncode == 0, done.stderr
    flags: list[str | Path] = [
        "--data",
        tmp_path / "set.data",
        "--results",
        tmp_path / "out/detections.json",
        "--ap",
        protocol,
    ]
    again = run_command("evaluate.py", *flags, "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    first, second = (json.loads((tmp_path / out / "summary.json").read_text()) for out in ("out", "again"))
    assert "detections of detections.json" in again.stdout
    assert second["per_class"] == pytest.approx(first["per_class"], abs=1e-5)
    assert 0 < second["ap50"] < 1
    assert {"parameters", "img_size", "conf_thres"} & set(second) == set()
    assert second["results"].endswith("detections.json")
    assert second["detections"] == len(json.loads((tmp_path / "out/detections.json").read_text())) > 0


def labels_of(entries: list[dict[str, Any]]) -> str:
    """Some detections of an image as its objects, and one object that was not found."""
    lines = ["0 0.02 0.02 0.03 0.03"]
    for entry in entries[::7]:
        x, y, width, height = entry["bbox"]
        places = (
            (x + width / 2) / IMAGE_WH[0],
            (y + height / 2) / IMAGE_WH[1],
            width / IMAGE_WH[0],
            height / IMAGE_WH[1],
        )
        lines.append(f"{entry['category_id'] - 1} {' '.join(f'{place:.6f}' for place in places)}")
    return "\n".join(lines)


def test_equal_scores_count_in_the_order_of_the_image_ids_as_in_pycocotools(tmp_path: Path) -> None:
    cat = Annotation(0, (10.0, 10.0, 50.0, 50.0), area=1600.0)
    found = np.array([[10.0, 10.0, 50.0, 50.0, 0.9, 0]])
    sets = {
        order: [sample_from_pixels(tmp_path / f"{i}.png", i, IMAGE_WH, [cat] if i == 2 else []) for i in order]
        for order in ((1, 2), (2, 1))
    }
    for samples in sets.values():
        held = SampleSet(tuple(samples), ("cat",), "coco", category_ids=(1,))
        detected = [Detected(sample, IMAGE_WH, found) for sample in samples]
        origin = Inference(img_size=(64, 64), fit="stretch", conf=0.001, nms=0.6)
        assert measure(detected, held, EvaluateSettings(), origin).ap == pytest.approx(0.5)


def test_darknets_protocol_keeps_labels_beyond_the_image(tmp_path: Path) -> None:
    labels = Labels(np.array([0]), np.array([[0.95, 0.5, 0.1, 0.2]], np.float32), np.array([[1.0, 0.5, 0.2, 0.2]]))
    none = np.zeros(1, np.bool_)
    sample = Sample(tmp_path / "a.png", labels.boxes, labels.classes, none, none, 0, label_boxes=labels.unclipped)
    found = np.array([[180.0, 40.0, 220.0, 60.0, 0.9, 0]])
    detected, samples = Detected(sample, IMAGE_WH, found), SampleSet((sample,), ("cat",))
    origin = Inference(img_size=(64, 64), fit="stretch", conf=0.005, nms=0.45)
    assert measure([detected], samples, EvaluateSettings(ap="darknet"), origin).ap50 == 1.0
    clipped = replace(detected, found=np.array([[180.0, 40.0, 200.0, 60.0, 0.9, 0]]))
    assert measure([clipped], samples, EvaluateSettings(ap="voc10"), origin).ap50 == 1.0


@pytest.mark.parametrize("flag", [{"points": 11}, {"iou_thres": 0.7}, {"thresh": 0.5}])
def test_settings_of_darknets_protocol_cannot_be_combined_with_another(flag: dict[str, Any]) -> None:
    assert EvaluateSettings(ap="darknet", **flag).for_source("list").ap == "darknet"
    with pytest.raises(UsageError, match="belong to --ap darknet, but this is voc10"):
        EvaluateSettings(**flag).for_source("list")


def test_the_title_names_whatever_changes_the_number() -> None:
    made = Inference(
        img_size=(64, 32),
        fit="letterbox",
        conf=0.1,
        nms=0.5,
        nms_kind="diou^1",
        max_detections=5,
        resize="align-corners",
    )
    assert str(made) == "64x32 letterbox align-corners, conf 0.1, nms 0.5 diou^1, at most 5 per image"


def test_results_are_scored_without_a_network_and_without_flags_that_make_detections(tmp_path: Path) -> None:
    run_evaluate(tmp_path, "--save-json")
    results: list[str | Path] = ["--data", tmp_path / "set.data", "--results", tmp_path / "out/detections.json"]
    refused: list[tuple[list[str | Path], str]] = [
        ([*results, "--cfg", tmp_path / "net.cfg"], "give a network"),
        (results[:2], "give a network"),
        ([*results, "--nms-thres", "0.5"], "--nms-thres has no effect on the detections in --results"),
        ([*results, "--stretch"], "--letterbox/--stretch has no effect on the detections in --results"),
        ([*results, "--save-json"], "--save-json needs --out"),
    ]
    for flags, message in refused:
        done = run_command("evaluate.py", *flags)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert message in done.stderr
