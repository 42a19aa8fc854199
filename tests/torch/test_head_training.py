"""Networks with other heads and sections go the whole way: sparse training, pruning, distillation, measuring."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import distill
import evaluate
import prune_channel
import train_sparse
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from tests.torch.heads import two_head_cfg
from tests.torch.small_trainings import BASE, folder, run

__all__ = ["folder"]

EXTRAS = """[convolutional]
batch_normalize=1
filters=32
size=3
pad=1
activation=swish

[shortcut]
from=-2
weights_type=per_channel
weights_normalization=softmax
activation=linear

[local_avgpool]
size=3
stride=1

"""


@pytest.mark.parametrize("kinds", [("region", "Gaussian_yolo"), ("Gaussian_yolo", "region without softmax")])
def test_other_heads_are_trained_pruned_and_taught(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, str]
) -> None:
    first, *rest = two_head_cfg(kinds=kinds).partition("[route]\n")
    (folder / "a.cfg").write_text(first + "".join(rest).replace("layers=2\n", f"layers=2\n{EXTRAS}"))
    assert run(monkeypatch, train_sparse, f"{BASE} sparse --s 0.01") == 0
    weights = "--weights sparse/last.weights"
    assert run(monkeypatch, prune_channel, f"--cfg sparse/model.cfg {weights} --percent 0.4 --out cut --quiet") == 0
    cfg = next((folder / "cut").glob("*.cfg"))
    small = read_netdef(cfg)
    binary = next((folder / "cut").glob("*.weights"))
    full = read_weights(folder / "sparse/last.weights", read_netdef(folder / "sparse/model.cfg"))
    assert read_weights(binary, small).floats < full.floats
    teacher = "--t-cfg sparse/model.cfg --t-weights sparse/last.weights"
    base = BASE.replace("a.cfg", str(cfg))
    assert run(monkeypatch, distill, f"{base} taught --weights {binary} {teacher}") == 0
    rows = list(csv.DictReader((folder / "taught/results.csv").read_text().splitlines()))
    assert all(float(row["distill"]) > 0 for row in rows)
    measured = "--cfg taught/model.cfg --data a.data --weights taught/last.weights --device cpu --quiet"
    assert run(monkeypatch, evaluate, measured) == 0
