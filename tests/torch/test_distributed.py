"""Two processes that train one network, as `python -m torch.distributed.run` starts them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from make_shapes import main as make_shapes

from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from prune.train.checkpoint import read_checkpoint
from tests.torch.two_processes import launch

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="torch without gloo"
)
CFG = (
    "[net]\nwidth=32\nheight=32\nchannels=3\n\n"
    + "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=4\npad=1\nactivation=leaky\n\n" * 2
    + "[convolutional]\nfilters=8\nsize=1\nactivation=linear\n\n[yolo]\nmask=0\nanchors=12,12\nclasses=3\nnum=1\n"
)


def test_two_processes_train_one_network_and_one_of_them_writes(tmp_path: Path) -> None:
    make_shapes(["--out", str(tmp_path / "shapes"), "--train", "16", "--valid", "4", "--size", "64"])
    (tmp_path / "a.cfg").write_text(CFG)
    shared = ["--cfg", "a.cfg", "--data", "shapes/shapes.data", "--batch-size", "4", "--epochs", "2"]
    done = launch(tmp_path, "train_sparse.py", *shared, "-s", "0.05", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 1/2") == 1, "only one of the two processes may report"
    out = tmp_path / "out"
    with (out / "results.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]
    checkpoint = read_checkpoint(out / "last.pt")
    assert checkpoint.seen == 32, "each image is seen once per epoch, by one process"
    assert checkpoint.step == 4, "16 images are two steps of 2 × 4"
    assert not any(name.startswith("module.") for name in checkpoint.model)
    weights = read_weights(out / "best.weights", read_netdef(out / "model.cfg"))
    assert all(np.isfinite(array).all() for record in weights.records.values() for array in record.arrays())


def test_a_wrong_input_ends_all_processes(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text(CFG)
    done = launch(tmp_path, "train.py", "--cfg", "a.cfg", "--data", "missing.data", "--out", "out")
    assert done.returncode != 0
    assert "missing.data" in done.stderr
    assert not (tmp_path / "out").exists()
