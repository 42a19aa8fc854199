"""Two processes that train one network, as `python -m torch.distributed.run` starts them."""

from __future__ import annotations

import csv
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from make_shapes import main as make_shapes

from prune.commands import train, train_sparse
from prune.darknet.datafile import read_datafile
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from prune.detect.evaluate import evaluate
from prune.detect.settings import EvaluateSettings
from prune.model.build import DarknetModel
from prune.samples.read import read_samples
from prune.train.checkpoint import read_checkpoint
from tests.torch.small_trainings import run
from tests.torch.two_processes import launch, start, train_together

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="torch without gloo"
)
CFG = (
    "[net]\nwidth=32\nheight=32\nchannels=3\n\n"
    + "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=4\npad=1\nactivation=leaky\n\n" * 2
    + "[convolutional]\nfilters=8\nsize=1\nactivation=linear\n\n[yolo]\nmask=0\nanchors=12,12\nclasses=3\nnum=1\n"
)
FLAGS = ["--cfg", "a.cfg", "--data", "shapes/shapes.data", "--epochs", "2", "--eval-interval", "1", "--sync-bn"]
LOSSES = ("loss", "box", "obj", "cls")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shapes and a small network."""
    folder = tmp_path_factory.mktemp("data")
    make_shapes(["--out", str(folder / "shapes"), "--train", "16", "--valid", "10", "--size", "64"])
    (folder / "a.cfg").write_text(CFG)
    return folder


@pytest.fixture(scope="module")
def trained(data: Path) -> Path:
    """`out`, trained by two processes."""
    train_together(data, "train.py", *FLAGS, "--batch-size", "4", "--out", "out")
    return data / "out"


@pytest.fixture
def folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: that of the data."""
    monkeypatch.chdir(data)
    return data


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


def gammas(out: Path) -> np.ndarray:
    state = read_checkpoint(out / "last.pt").model
    return np.concatenate([value.numpy() for name, value in state.items() if name.endswith("bn.weight")])


def assert_equal_training(found: Path, expected: Path) -> None:
    """Losses to 1e-4, γ to 1e-3; and there was something to learn."""
    for name in LOSSES:
        ours, theirs = ([float(row[name]) for row in rows(out)] for out in (found, expected))
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert np.abs(gammas(found) - gammas(expected)).max() < 1e-3
    assert np.abs(gammas(expected) - 1).max() > 1e-3


def test_two_processes_train_one_network_and_one_of_them_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = launch(folder, "train_sparse.py", *FLAGS, "--batch-size", "4", "-s", "0.05", "--out", "sparse")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 1/2") == 1, "only one of the two processes may report"
    out = folder / "sparse"
    assert [row["epoch"] for row in rows(out)] == ["0", "1"]
    checkpoint = read_checkpoint(out / "last.pt")
    assert checkpoint.seen == 32, "each image is seen once per epoch, by one process"
    assert checkpoint.step == 4, "16 images are two steps of 2 × 4"
    assert not any(name.startswith("module.") for name in checkpoint.model)
    weights = read_weights(out / "best.weights", read_netdef(out / "model.cfg"))
    assert all(np.isfinite(array).all() for record in weights.records.values() for array in record.arrays())
    assert run(monkeypatch, train_sparse, "--batch-size 8 --out one-sparse -s 0.05 --device cpu --quiet", FLAGS) == 0
    assert_equal_training(out, folder / "one-sparse")


def test_with_sync_bn_two_processes_train_what_one_does_with_as_many_images_per_step(
    folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, train, "--batch-size 8 --out one --device cpu --quiet", FLAGS) == 0
    assert_equal_training(trained, folder / "one")


def test_two_processes_evaluate_a_part_each_and_measure_exactly_what_one_does(folder: Path, trained: Path) -> None:
    summary = json.loads((trained / "summary.json").read_text())
    model = DarknetModel(read_netdef(trained / "model.cfg"))
    model.load_state_dict(read_checkpoint(trained / "best.pt").ema)
    samples = read_samples(read_datafile(folder / "shapes/shapes.data"), "valid")
    alone = evaluate(model, samples, EvaluateSettings(batch_size=4)).summary()
    assert alone["ap50"] > 0
    assert {name: summary[name] for name in alone} == alone


def test_a_run_is_resumed_by_another_number_of_processes_only_with_as_many_images_per_step(
    folder: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, folder / "again")
    more = [*FLAGS, "--epochs", "3", "--out", "again", "--device", "cpu", "--resume"]
    assert run(monkeypatch, train, "--batch-size 4", more) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --resume: the checkpoint was trained by 2 × --batch-size 4, but now 1 × 4 are asked for: "
        "pass --batch-size 8"
    )
    assert run(monkeypatch, train, "--batch-size 8", more) == 0
    assert "now 1 × 8: as many images per step" in capsys.readouterr().err
    assert len(rows(folder / "again")) == 3


def test_a_process_that_dies_ends_the_other_with_one_line_and_a_whole_checkpoint(folder: Path) -> None:
    first, second = start(folder, "train.py", *FLAGS, "--epochs", "100000", "--batch-size", "4", "--out", "lost")
    end = time.monotonic() + 120
    while not (folder / "lost/results.csv").exists() and time.monotonic() < end:
        time.sleep(0.05)
    second.kill()
    second.communicate()
    _, told = first.communicate(timeout=60)
    last = told.splitlines()[-1]
    assert first.returncode == 1, told
    assert last.startswith("error: process 2 of 2 is gone (the connection is closed); last.pt is intact")
    assert "Traceback" not in told
    assert read_checkpoint(folder / "lost/last.pt").epoch >= 1
    assert not list((folder / "lost").glob(".*"))


def test_a_wrong_input_ends_all_processes(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(CFG)
    done = launch(tmp_path, "train.py", "--cfg", "a.cfg", "--data", "missing.data", "--out", "out")
    assert done.returncode != 0
    assert "missing.data" in done.stderr
    assert not (tmp_path / "out").exists()
