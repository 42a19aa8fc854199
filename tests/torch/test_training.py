"""The training commands on a few pictures: files, resuming, sparsity, teachers, and what is refused."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import distill
import finetune
import train
import train_sparse
from prune.darknet.netdef import parse_netdef, read_netdef
from prune.darknet.shapes import network_size
from prune.darknet.weights import random_weights, read_weights, write_weights
from prune.errors import UsageError, WeightsError
from prune.metrics.result import Inference, Metrics
from prune.model.build import DarknetModel
from prune.model.files import read_exact
from prune.samples.sample import Sample
from prune.train.board import find_board
from prune.train.hooks import Hook
from prune.train.job import Job
from prune.train.session import Session
from prune.train.settings import TrainSettings
from prune.train.sizes import rectangular_size, scaled_sizes
from prune.train.start import OBJECT_PRIOR, restore_network, start_network
from prune.train.validator import Validator
from tests.torch.small_trainings import BASE, cfg_text, folder, run

__all__ = ["folder"]


def test_training_leaves_files_that_other_tools_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, train, f"{BASE} out") == 0
    names = {path.name for path in (folder / "out").iterdir()}
    files = {"last.pt", "best.pt", "last.weights", "best.weights", "model.cfg", "results.csv", "summary.json"}
    files |= {"batch.png", "results.png"}
    assert files <= names
    netdef = read_netdef(folder / "out/model.cfg")
    assert netdef.net.letter_box
    assert read_weights(folder / "out/last.weights", netdef).header.seen == 16
    state = torch.load(folder / "out/last.pt", weights_only=True)
    assert parse_netdef(state["cfg"]).net.letter_box
    summary = json.loads((folder / "out/summary.json").read_text())
    assert summary["command"] == "train.py"
    assert summary["protocol"] == "voc10"
    assert summary["images"] == 4
    assert {
        "parameters",
        "bflops",
        "weights_bytes",
        "channels",
        "layers",
        "ap50",
        "per_class",
    } <= summary.keys()
    assert {Path(entry["path"]).name for entry in summary["outputs"]} == files - {"summary.json"}
    assert len(list(csv.DictReader((folder / "out/results.csv").read_text().splitlines()))) == 2


def test_stretch_is_written_into_the_cfg_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, train, f"{BASE} out --stretch --img-size 64 --epochs 1") == 0
    netdef = read_netdef(folder / "out/model.cfg")
    assert (netdef.net.letter_box, netdef.net.width, netdef.net.height) == (False, 64, 64)


@pytest.mark.parametrize("command", [train, finetune, train_sparse])
def test_training_without_an_object_to_learn_ends_before_it_begins(
    folder: Path, command: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in (folder / "labels").iterdir():
        label.write_text("0 24 20 8 8\n")
    assert run(monkeypatch, command, f"{BASE} out") == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert "train.txt: no training image has an object to learn; check its labels (8 × label line skipped" in error[0]
    assert not (folder / "out").exists()


def test_training_on_difficult_objects_alone_ends_before_it_begins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "hard").mkdir()
    for number in range(8):
        (folder / f"labels/{number}.txt").replace(folder / f"hard/{number}.txt")
        (folder / f"labels/{number}.txt").touch()
    (folder / "hard.txt").write_text("".join(f"hard/{number}.png\n" for number in range(8)))
    with (folder / "a.data").open("a") as file:
        file.write("train_difficult=hard.txt\n")
    assert run(monkeypatch, train, f"{BASE} out") == 2
    assert "no object" not in (told := capsys.readouterr().err)
    assert "(8 difficult objects are not trained on)" in told


def test_what_was_skipped_while_reading_is_reported_once_before_the_first_epoch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, line in ((0, "0 24 20 8 8"), (6, "0 .5 .5 .2"), (9, "5 .5 .5 .2 .2"), (1, "0 .1 .1 .4 .1 .4 .4")):
        with (folder / f"labels/{number}.txt").open("a") as file:
            file.write(f"{line}\n")
    (folder / "images/3.png").write_bytes(b"no image")
    assert run(monkeypatch, train, f"{BASE} out".replace(" --quiet", "")) == 0
    lines = capsys.readouterr().err.splitlines()
    epoch = next(number for number, line in enumerate(lines) if line.startswith("epoch 0"))
    before, after = lines[:epoch], lines[epoch:]
    told = {
        "warning: train: 1 × label line skipped, box is not in fractions of the image (0 … 1)": before,
        "warning: train and valid: 1 × label line skipped, not five numbers": before,
        "warning: valid: 1 × label line skipped, class is not in 0 … 1": before,
        "train: 1 × label line is a polygon": before,
        "warning: train: 1 × image cannot be decoded": after,
    }
    for text, place in told.items():
        assert len([line for line in lines if line.startswith(text)]) == 1, text
        assert any(line.startswith(text) for line in place), text


def test_a_valid_split_that_measures_nothing_is_reported_before_the_first_epoch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (8, 9):
        (folder / f"labels/{number}.txt").write_text("")
    (folder / "valid.txt").write_text(f"{folder}/images/8.png\n{folder}/images/9.png\n")
    assert run(monkeypatch, train, f"{BASE} out --epochs 1") == 0
    assert "valid.txt: no image of the valid set has an object that counts" in capsys.readouterr().err


def test_an_earlier_result_is_kept_unless_overwriting_is_requested(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, train, f"{BASE} out --epochs 1") == 0
    before = (folder / "out/last.weights").read_bytes()
    assert run(monkeypatch, train, f"{BASE} out --epochs 1 --seed 1") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (folder / "out/last.weights").read_bytes() == before
    (folder / "out/mine.txt").write_text("not the command's")
    assert run(monkeypatch, train, f"{BASE} out --epochs 1 --seed 1 --overwrite") == 0
    assert (folder / "out/last.weights").read_bytes() != before
    assert (folder / "out/mine.txt").exists()


class StopAt(Hook):
    """Ctrl-C at the start of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def epoch_start(self, epoch: int) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("workers", "more"),
    [
        (0, {"cache": "off"}),
        (1, {"cache": "ram", "optimizer": "adamw", "accumulate": 2}),
        (1, {"cache": "disk", "multi_scale": True}),
        (None, {"amp": "bf16", "multi_scale": True}),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_byte(
    folder: Path, workers: int | None, more: dict[str, Any]
) -> None:
    def job(out: str, resume: str | None = None) -> Job:
        settings = TrainSettings(epochs=4, resume=resume, **more)
        return Job(cfg=Path("a.cfg"), data=Path("a.data"), out=Path(out), batch_size=4, device="cpu",
                   workers=workers, quiet=True, train=settings)  # fmt: skip

    Session(job("straight")).fit()
    with pytest.raises(KeyboardInterrupt):
        Session(job("broken")).fit([StopAt(2)])
    assert (folder / "broken/images.cache").exists() == (more.get("cache") == "disk")
    torch.manual_seed(77)
    Session(job("broken", resume="")).fit()
    for name in ("last.weights", "best.weights", "model.cfg"):
        assert (folder / "straight" / name).read_bytes() == (folder / "broken" / name).read_bytes()
    tables = [
        [{k: v for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(text.splitlines())]
        for text in ((folder / out / "results.csv").read_text() for out in ("straight", "broken"))
    ]
    assert tables[0] == tables[1]


def test_resuming_a_finished_run_trains_nothing_and_reports(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, train, f"{BASE} out") == 0
    before = (folder / "out/last.weights").read_bytes()
    assert run(monkeypatch, train, f"{BASE} out --resume") == 0
    assert (folder / "out/last.weights").read_bytes() == before
    assert "ap50" in json.loads((folder / "out/summary.json").read_text())


def test_sparse_training_warns_of_its_reach_and_continues_from_the_middle(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args = f"{BASE} out --s 0.0001 -sr --epochs 4"
    assert run(monkeypatch, train_sparse, args) == 0
    told = capsys.readouterr().err
    assert "cannot make 80 % of the gammas sparse" in told
    assert "use --s" in told
    assert {"mid.pt", "gamma_history.npz"} <= {path.name for path in (folder / "out").iterdir()}
    again = f"{BASE} again --epochs 4 --resume out/mid.pt --sr-mode 3 --s 0.01"
    assert run(monkeypatch, train_sparse, again) == 0
    rows = list(csv.DictReader((folder / "again/results.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["3"]  # mid.pt contains epochs 0 to 2
    assert 0 <= float(rows[0]["gamma<0.01"]) <= 1
    inputs = json.loads((folder / "again/summary.json").read_text())["inputs"]
    assert "out/mid.pt" in [entry["path"] for entry in inputs]


def test_sparsity_pulls_gammas_down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mean_gamma(out: str, s: float) -> float:
        assert run(monkeypatch, train_sparse, f"{BASE} {out} --epochs 10 --s {s}") == 0
        netdef = read_netdef(folder / out / "model.cfg")
        weights = read_weights(folder / out / "last.weights", netdef)
        gammas = [weights.conv(layer.index).gamma for layer in netdef.convolutions]
        return float(np.mean([np.abs(gamma).mean() for gamma in gammas if gamma is not None]))

    assert mean_gamma("strong", 0.5) < mean_gamma("none", 0.0) - 0.2


def test_a_sparse_run_reports_the_last_network_and_not_the_best(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """last.weights is what is pruned; the best on the valid split may be from before the network was sparse."""
    best_first = iter((0.9, 0.5, 0.2))
    measured: list[float] = []

    def falling(self: Validator, model: nn.Module) -> dict[str, float]:
        measured.append(next(best_first))
        numbers = {"ap50": measured[-1]}
        self.latest = Metrics(
            protocol="voc10",
            images=4,
            origin=Inference(img_size=(32, 32), fit="letterbox", conf=0, nms=0),
            numbers=numbers,
        )
        return {"ap50": measured[-1]}

    monkeypatch.setattr(Validator, "__call__", falling)
    args = BASE.replace("--epochs 2", "--epochs 3 --eval-interval 1")
    assert run(monkeypatch, train_sparse, f"{args} sparse --s 0.01") == 0
    summary = json.loads((folder / "sparse/summary.json").read_text())
    assert summary["ap50"] == 0.2
    assert summary["best_epoch"] == 0


def test_an_overwritten_run_drops_the_curves_of_the_earlier_one(tmp_path: Path) -> None:
    stale = tmp_path / "events.out.tfevents.1"
    stale.write_bytes(b"old")
    find_board(tmp_path, first_epoch=2)
    assert stale.exists()
    find_board(tmp_path)
    assert not stale.exists()


@pytest.mark.parametrize("strategy", ["soft-target", "task"])
def test_a_narrow_student_learns_from_a_wide_teacher(
    folder: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    (folder / "t.cfg").write_text(cfg_text(16, shortcut=True))
    teacher = read_netdef(folder / "t.cfg")
    write_weights(folder / "t.weights", random_weights(teacher, np.random.default_rng(0)), teacher)
    args = f"{BASE} out --t-cfg t.cfg --t-weights t.weights --distill {strategy}"
    assert run(monkeypatch, distill, args) == 0
    rows = list(csv.DictReader((folder / "out/results.csv").read_text().splitlines()))
    assert float(rows[0]["distill"]) > 0
    paths = [entry["path"] for entry in json.loads((folder / "out/summary.json").read_text())["inputs"]]
    assert {"t.cfg", "t.weights"} <= set(paths)


def test_fine_tuning_starts_from_a_checkpoint_and_counts_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, train, f"{BASE} a --epochs 1") == 0
    assert run(monkeypatch, finetune, f"{BASE} b --epochs 1 --weights a/last.pt") == 0
    seen = read_weights(folder / "b/last.weights", read_netdef(folder / "a.cfg")).header.seen
    assert seen == 16


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--img-size 33", "multiples of 8, the largest stride of a.cfg, such as 32x32"),
        ("--device cuda:99", "--device cuda:99"),
        ("--device tpu", "choose auto, cpu"),
        ("--weights none.weights", "none.weights: no such file"),
        ("--lr 0", "--lr 0"),
        ("--resume none.pt", "none.pt: no such file"),
        ("--weights-cfg a.cfg", "--weights-cfg needs --weights"),
        ("--epochs 2 --out .", "exists already"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: str, message: str
) -> None:
    (folder / "last.pt").write_text("of an earlier run")
    assert run(monkeypatch, train, f"{BASE} out {args}") == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_network_for_other_classes_is_refused_with_the_fix(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = cfg_text().replace("classes=2", "classes=3").replace("filters=14", "filters=16")
    (folder / "a.cfg").write_text(text)
    assert run(monkeypatch, train, f"{BASE} out") == 2
    assert "prune.adapt" in capsys.readouterr().err


def test_a_network_of_four_channels_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.cfg").write_text(cfg_text().replace("[net]\n", "[net]\nchannels=4\n", 1))
    assert run(monkeypatch, train, f"{BASE} out") == 2
    assert "channels=4" in capsys.readouterr().err


def test_a_diverging_run_ends_with_exit_1_and_keeps_the_last_good_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, train, f"{BASE} out --lr 1e30 --clip 0 --epochs 8") == 1
    assert "lower --lr" in capsys.readouterr().err


def test_a_newly_initialised_head_predicts_low_objectness() -> None:
    torch.manual_seed(0)
    model, seen = start_network(parse_netdef(cfg_text()))
    raw = model(torch.rand(2, 3, 32, 32))[0].view(2, 2, 7, 4, 4)
    assert seen == 0
    assert float(raw[:, :, 4].sigmoid().mean().detach()) == pytest.approx(OBJECT_PRIOR, rel=0.3)
    assert float(raw[:, :, 5:].sigmoid().mean().detach()) == pytest.approx(0.5, abs=0.1)


def test_partial_weights_set_the_first_layers(tmp_path: Path) -> None:
    netdef = parse_netdef(cfg_text())
    full = random_weights(netdef, np.random.default_rng(0))
    first = replace(full, records={0: full.records[0], 1: full.records[1]})
    write_weights(tmp_path / "nano.conv.2", first, netdef)
    model, _ = start_network(netdef, tmp_path / "nano.conv.2")
    assert np.array_equal(model.block(1).conv.weight.detach().numpy(), full.conv(1).weight)
    assert float(model.bn_of(2).weight.detach().std()) == 0
    with pytest.raises(WeightsError, match="needs"):
        read_exact(tmp_path / "nano.conv.2", netdef)


def test_weights_of_another_network_set_the_layers_of_equal_shape(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other.cfg").write_text(
        cfg_text().replace("classes=2", "classes=5").replace("filters=14", "filters=20")
    )
    other = read_netdef(tmp_path / "other.cfg")
    weights = random_weights(other, np.random.default_rng(0))
    write_weights(tmp_path / "other.weights", weights, other)
    with caplog.at_level("INFO", logger="prune"):
        model, _ = start_network(parse_netdef(cfg_text()), tmp_path / "other.weights", tmp_path / "other.cfg")
    assert np.array_equal(model.block(2).conv.weight.detach().numpy(), weights.conv(2).weight)
    assert "layer 3" in caplog.text


def test_a_checkpoint_of_another_cfg_is_refused(tmp_path: Path) -> None:
    torch.save(DarknetModel(parse_netdef(cfg_text(16))).state_dict(), tmp_path / "wide.pt")
    with pytest.raises(WeightsError, match=r"wide\.pt: does not fit"):
        read_exact(tmp_path / "wide.pt", parse_netdef(cfg_text(8)))
    with pytest.raises(WeightsError, match="is not the cfg of the checkpoint"):
        restore_network(parse_netdef(cfg_text(8)), torch.load(tmp_path / "wide.pt"))


def sample(width: int, height: int) -> Sample:
    none = np.zeros(0, np.bool_)
    boxes, classes = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return Sample(Path("a.png"), boxes, classes, none, none, 0, (width, height))


def test_a_rectangular_input_fits_the_median_image() -> None:
    wide, tall = sample(640, 480), sample(480, 640)
    assert rectangular_size((320, 320), [wide, wide, tall], 32) == (320, 256)
    assert rectangular_size((320, 320), [tall], 32) == (256, 320)
    assert rectangular_size((320, 320), [sample(100, 100)], 32) == (320, 320)


def test_multi_scale_sizes_keep_the_shape_and_the_stride() -> None:
    sizes = scaled_sizes((320, 256), 32)
    assert sizes[0] == (224, 192)
    assert sizes[-1] == (416, 320)
    assert all(width % 32 == height % 32 == 0 for width, height in sizes)
    assert scaled_sizes((32, 32), 32) == [(32, 32)]


def test_the_input_size_is_the_cfgs_unless_asked() -> None:
    netdef = parse_netdef(cfg_text())
    assert network_size(netdef, None) == (32, 32)
    assert network_size(netdef, (64, 40)) == (64, 40)
    with pytest.raises(UsageError, match="multiples of 8"):
        network_size(netdef, (60, 64))
