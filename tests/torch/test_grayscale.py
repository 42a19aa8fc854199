"""Networks of one channel: how images are read for them, trained on, measured, pruned and shown."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from make_shapes import main as make_shapes
from numpy.typing import NDArray

import detect
import distill
import evaluate
import finetune
import prune_channel
import prune_layer
import train
import train_sparse
from benchmarks.opencv_parity import opencv_outputs, our_outputs, parity, relative
from prune.cli import exit_code
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.weights import random_weights, read_weights, write_weights
from prune.detect.predict import predict
from prune.detect.predict_settings import DetectSettings
from prune.loading.augment import AugmentSettings, jitter_colours
from prune.loading.dataset import EvalDataset, TrainDataset
from prune.loading.loaders import eval_loader, train_loader
from prune.model.build import DarknetModel
from prune.model.state import load_weights
from prune.samples.fit import Resize
from prune.samples.frames import Frame, read_frames
from prune.samples.images import read_image
from prune.samples.issues import Issues
from prune.samples.sample import Annotation, Sample, sample_from_pixels
from prune.samples.sources import find_sources
from prune.train.start import start_network
from tests.datasets import turned_jpeg
from tests.shared import REPOSITORY
from tests.strategies import as_float32, tame_weights

NET = (64, 32)
NANO = REPOSITORY / "cfg" / "yolov3-nano.cfg"
CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
HEAD = (
    "[convolutional]\nfilters=16\nsize=1\nactivation=linear\n[yolo]\nmask=0,1\nanchors=9,9, 20,20\nclasses=3\nnum=2\n"
)
BLOCK = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation=leaky\n[shortcut]\nfrom=-2\n"
Run = Callable[..., int]


def cfg_text(channels: int = 1) -> str:
    """Stride 8, one residual block, one head of three classes."""
    return f"[net]\nchannels={channels}\nwidth=64\nheight=64\n" + CONV * 3 + BLOCK + "activation=linear\n" + HEAD


def colourful(
    folder: Path, suffix: str = ".png", size_wh: tuple[int, int] = (60, 40)
) -> tuple[Path, NDArray[np.uint8]]:
    """A smooth picture of all colours (so that JPEG keeps it), and its RGB pixels."""
    y, x = np.mgrid[: size_wh[1], : size_wh[0]]
    rgb = np.stack((x * 4, y * 6, 255 - x * 2 - y * 3), axis=2).astype(np.uint8)
    cv2.imwrite(str(folder / f"colour{suffix}"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return folder / f"colour{suffix}", rgb


def grey_samples(folder: Path, count: int = 6) -> list[Sample]:
    """Pictures of grey noise, stored with three channels, one object each."""
    made = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (40, 60, 1), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), np.repeat(cv2.blur(noise, (3, 3))[..., None], 3, axis=2))
        objects = [Annotation(number % 2, (10.0, 10.0, 40.0, 30.0))]
        made.append(sample_from_pixels(folder / f"{number}.png", number, (60, 40), objects))
    return made


# Reading


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".webp", ".jpg"])
def test_a_colour_file_is_read_as_its_luma(tmp_path: Path, suffix: str) -> None:
    path, rgb = colourful(tmp_path, suffix)
    grey = read_image(path, channels=1)
    assert grey is not None
    assert grey.shape == (40, 60)
    assert grey.dtype == np.uint8
    lossy = 6 if suffix in (".jpg", ".webp") else 2  # libpng truncates
    assert np.abs(grey - rgb @ np.array((0.299, 0.587, 0.114))).max() <= lossy
    assert np.array_equal(grey, np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))), (
        "as Darknet with OpenCV reads it"
    )


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".pgm"])
def test_a_grey_file_is_read_unchanged(tmp_path: Path, suffix: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), levels)
    assert np.array_equal(read_image(tmp_path / f"a{suffix}", channels=1), levels)  # type: ignore[arg-type]


def test_the_orientation_flag_counts_as_for_colour(tmp_path: Path) -> None:
    path = turned_jpeg(tmp_path / "a.jpg", (40, 20))
    for annotated, upright in ((None, False), ((40, 20), False), ((20, 40), False), (None, True)):
        colour, grey = (read_image(path, annotated, upright, channels) for channels in (3, 1))
        assert colour is not None
        assert grey is not None
        assert grey.shape == colour.shape[:2]
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8nonsense")
    assert read_image(tmp_path / "b.jpg", channels=1) is None


# Batches: grey pictures are the oracle, as they are the same in one channel and in three


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        AugmentSettings.none(),
        AugmentSettings(),
        AugmentSettings(degrees=20, shear=10),
        AugmentSettings(mosaic=0, flip_ud=0.5),
        AugmentSettings(mosaic=0, degrees=20),
        AugmentSettings(mosaic=0, scale=0, translate=0, flip_lr=1),
    ],
)
def test_a_grey_picture_is_augmented_in_the_same_way_in_one_channel_and_in_three(
    tmp_path: Path, settings: AugmentSettings, cached: bool
) -> None:
    samples = grey_samples(tmp_path)
    three, one = (TrainDataset(samples, settings, NET, cache_images=cached, channels=c) for c in (3, 1))
    for index in range(len(samples)):
        (colour, targets), (grey, same) = three[index], one[index]
        assert grey.shape == (1, 32, 64)
        assert grey.is_contiguous()
        assert (colour.int() - grey.int()).abs().max() <= 1, "OpenCV's warp may round differently"
        assert torch.equal(targets, same)


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("resize", ["half-pixel", "align-corners"])
def test_a_grey_picture_is_fitted_in_the_same_way_in_one_channel_and_in_three(
    tmp_path: Path, resize: Resize, letterbox: bool
) -> None:
    samples = grey_samples(tmp_path, 2)
    three, one = (EvalDataset(samples, NET, letterbox, resize=resize, channels=c)[1].img for c in (3, 1))
    assert three is not None
    assert one is not None
    assert one.shape == (1, 32, 64)
    assert torch.equal(three, one.expand(3, -1, -1))


def test_only_brightness_changes_a_grey_picture() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    coloured = jitter_colours(np.random.default_rng(1), grey, AugmentSettings(hue=1, saturation=1, value=0))
    assert np.array_equal(coloured, grey)
    rng = np.random.default_rng(1)
    factor = 1 + np.random.default_rng(1).uniform(-1, 1, 3)[2] * 0.4
    brighter = jitter_colours(rng, grey, AugmentSettings(hue=1, saturation=1, value=0.4))
    assert np.array_equal(brighter, np.rint(np.clip(grey * factor, 0, 255)))
    assert not np.array_equal(brighter, grey)


def test_workers_change_nothing_for_grey_pictures(tmp_path: Path) -> None:
    samples = grey_samples(tmp_path)
    (tmp_path / "3.png").write_bytes(b"broken")
    loaders = [train_loader(TrainDataset(samples, AugmentSettings(), NET, channels=1), 3, n) for n in (0, 2)]
    for alone, helped in zip(*loaders, strict=True):
        assert alone[0].shape == (3, 1, 32, 64)
        assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))
    (batch, *_) = eval_loader(EvalDataset(samples, NET, True, channels=1), 4, workers=2)
    assert batch.imgs.shape == (3, 1, 32, 64)


# Numbers


@pytest.mark.parametrize("letterbox", [False, True])
def test_a_picture_gives_what_opencv_computes_from_its_own_reading(tmp_path: Path, letterbox: bool) -> None:
    path, _ = colourful(tmp_path, ".jpg", (64, 64))
    netdef = parse_netdef(cfg_text())
    weights = as_float32(tame_weights(netdef, 0))
    read = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    blob = cv2.dnn.blobFromImage(np.asarray(read), 1 / 255)
    assert blob.shape == (1, 1, 64, 64)
    theirs = opencv_outputs(netdef, weights, tmp_path, np.asarray(blob, np.float32))
    sample = sample_from_pixels(path, 0, (64, 64), [])
    img = EvalDataset([sample], (64, 64), letterbox, channels=1)[0].img
    assert img is not None
    ours = our_outputs(netdef, weights, (img[None].float() / 255).numpy())
    assert relative(ours[0].raw, theirs[0].raw) <= 1e-4
    assert relative(ours[0].decoded[..., :5], theirs[0].decoded[..., :5]) <= 1e-4


def test_a_network_of_one_channel_gives_what_opencv_computes(tmp_path: Path) -> None:
    text = NANO.read_text().replace("channels=3", "channels=1")
    netdef = parse_netdef(text).with_net_option("width", "64").with_net_option("height", "64")
    assert netdef.net.channels == 1
    assert parity(netdef, as_float32(tame_weights(netdef, 0)), tmp_path).worst <= 1e-4


# Commands


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(["--out", str(folder), "--train", "8", "--valid", "4", "--size", "64"])
    return folder / "shapes.data"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the main of a command in `tmp_path`; returns its exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.cfg").write_text(cfg_text())

    def call(main: Callable[[], int], *arguments: object) -> int:
        words = [word for argument in arguments for word in str(argument).split()]
        monkeypatch.setattr(sys, "argv", ["command.py", *words, "--device", "cpu", "--quiet"])
        try:
            return exit_code(main)
        except SystemExit as left:
            return int(left.code or 0)

    return call


def pair(cfg: Path, seed: int = 0) -> str:
    """Flags of a network with random weights, which are written beside the cfg."""
    netdef, path = read_netdef(cfg), cfg.with_suffix(".weights")
    write_weights(path, random_weights(netdef, np.random.default_rng(seed)), netdef)
    return f"--cfg {cfg} --weights {path}"


def test_a_network_of_one_channel_is_trained_pruned_and_measured(run: Run, data: Path, tmp_path: Path) -> None:
    flags = f"--data {data} --batch-size 4"
    assert (
        run(
            train.main,
            flags,
            "--cfg net.cfg --epochs 6 --lr 0.005 --mosaic 0 --scale 0 --translate 0 --cache-images --out base",
        )
        == 0
    )
    rows = list(csv.DictReader((tmp_path / "base/results.csv").read_text().splitlines()))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    base = "--cfg base/model.cfg --weights base/last.weights"
    assert read_netdef(tmp_path / "base/model.cfg").net.channels == 1
    assert run(train_sparse.main, flags, base, "--epochs 1 --s 0.01 --out sparse") == 0
    assert run(prune_channel.main, flags, base, "--sweep 0.3:0.3:0.1 --json sweep.json") == 0
    assert len(json.loads((tmp_path / "sweep.json").read_text())["sweep"]) == 2
    assert run(prune_channel.main, flags, base, "--percent 0.5 --out cut") == 0
    assert run(prune_layer.main, flags, base, "--shortcuts 1 --out shorter") == 0
    cut = "--cfg cut/pruned.cfg --weights cut/pruned.weights"
    assert run(evaluate.main, flags, cut, "--out measured") == 0
    known = json.loads((tmp_path / "cut/summary.json").read_text())["after"]
    assert json.loads((tmp_path / "measured/summary.json").read_text())["ap50"] == known["ap50"]
    assert run(evaluate.main, flags, cut, "--ap darknet --out measured2") == 0
    assert run(finetune.main, flags, cut, "--epochs 1 --out tuned") == 0
    teacher = "--t-cfg base/model.cfg --t-weights base/best.weights"
    assert run(distill.main, flags, cut, teacher, "--epochs 1 --out distilled") == 0


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("main", [train.main, evaluate.main, detect.main])
def test_another_number_of_channels_is_one_line_that_names_its_place(
    run: Run, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], main: Callable[[], int], channels: int
) -> None:
    (tmp_path / "net.cfg").write_text(cfg_text(channels))
    source = f"--source {data.parent} --out out" if main is detect.main else "--out out"
    assert run(main, pair(tmp_path / "net.cfg"), f"--data {data}", source) == 2
    error = capsys.readouterr().err
    assert f"net.cfg:2: channels={channels}, but images are read with 3 channels (RGB) or 1 (grayscale)" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("ours", "theirs"), [(1, 3), (3, 1)])
def test_a_teacher_of_other_images_is_refused(
    run: Run, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ours: int, theirs: int
) -> None:
    (tmp_path / "net.cfg").write_text(cfg_text(ours))
    (tmp_path / "t.cfg").write_text(cfg_text(theirs))
    teacher = pair(tmp_path / "t.cfg").replace("--", "--t-")
    assert run(distill.main, f"--cfg net.cfg --data {data} --epochs 1 --out out", teacher) == 2
    error = capsys.readouterr().err
    assert f"t.cfg: channels={theirs} in [net], but the student" in error
    assert f"use a teacher trained with channels={ours}" in error
    assert error.count("\n") == 1


def test_of_an_rgb_networks_weights_all_except_the_first_layer_are_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rgb.cfg").write_text(cfg_text(3))
    pair(tmp_path / "rgb.cfg")
    with caplog.at_level("INFO", logger="prune"):
        model, _ = start_network(parse_netdef(cfg_text()), tmp_path / "rgb.weights", tmp_path / "rgb.cfg")
    assert "layer 0: kernel 8×3×3×3, here 8×1×3×3" in caplog.messages
    assert "layer 1" not in caplog.text
    source = read_weights(tmp_path / "rgb.weights", read_netdef(tmp_path / "rgb.cfg"))
    assert np.array_equal(model.block(1).conv.weight.detach().numpy(), source.conv(1).weight)
    assert model.block(0).conv.weight.shape == (8, 1, 3, 3)


# Pictures


def one_frame(path: Path) -> Frame:
    (frame,) = read_frames(find_sources([str(path)], Issues()), Issues())
    return frame


def test_a_frame_is_shown_in_colour_and_read_as_its_grayscale(tmp_path: Path) -> None:
    path, rgb = colourful(tmp_path)
    frame = one_frame(path)
    assert np.array_equal(frame.image, rgb)
    assert frame.pixels(3) is frame.image
    assert np.array_equal(frame.pixels(1), read_image(path, channels=1))  # type: ignore[arg-type]
    of_a_video = Frame(frame.source, frame.image, number=0)
    assert np.abs(of_a_video.pixels(1) - rgb @ np.array((0.299, 0.587, 0.114))).max() <= 1


def test_detections_that_are_shown_are_those_that_are_measured(tmp_path: Path) -> None:
    path, _ = colourful(tmp_path, ".jpg", (64, 64))
    netdef: NetDef = parse_netdef(cfg_text())
    model = DarknetModel(netdef).eval()
    load_weights(model, as_float32(tame_weights(netdef, 0)))
    taken: list[torch.Tensor] = []
    model.register_forward_pre_hook(lambda _, imgs: taken.append(imgs[0]))
    list(predict([model], [one_frame(path)], DetectSettings()))
    measured = EvalDataset([sample_from_pixels(path, 0, (64, 64), [])], (64, 64), False, channels=1)[0].img
    assert measured is not None
    assert torch.equal(taken[0], measured[None].float() / 255)


def test_grey_and_rgb_networks_are_compared_on_colour_pictures(run: Run, data: Path, tmp_path: Path) -> None:
    colourful(tmp_path, size_wh=(640, 640))
    (tmp_path / "rgb.cfg").write_text(cfg_text(3))
    rgb = pair(tmp_path / "rgb.cfg").removeprefix("--cfg ").replace("--weights ", "")
    video = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for number in range(3):
        video.write(np.full((48, 64, 3), (80 * number, 0, 255), np.uint8))
    video.release()
    shown = f"--data {data} --source colour.png v.mp4 --conf-thres 0.99"
    assert run(detect.main, pair(tmp_path / "net.cfg"), shown, "--out one") == 0
    assert run(detect.main, pair(tmp_path / "net.cfg"), shown, "--out two --compare", rgb) == 0
    summary = json.loads((tmp_path / "two/summary.json").read_text())
    assert (summary["images"], summary["videos"], summary["frames"]) == (1, 1, 3)
    assert set(summary["compared"]) == {"detections", "in_both", "lost", "new"}
    drawn = read_image(tmp_path / "one/colour.png")
    assert drawn is not None
    assert np.ptp(drawn.astype(int), axis=2).max() > 100
