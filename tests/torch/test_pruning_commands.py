"""prune_channel.py, prune_layer.py and the commands of the package, run as a user runs them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest
from make_shapes import main as make_shapes

import prune_channel
import prune_layer
from prune import adapt, compare, explain
from prune.cli import exit_code
from prune.darknet.netdef import format_netdef, read_netdef
from prune.darknet.records import Header
from prune.darknet.weights import random_weights, read_weights, write_weights
from prune.errors import VerificationError
from prune.surgery.classes import adapt_classes
from tests.shared import REPOSITORY

Run = Callable[..., int]
NANO = REPOSITORY / "cfg" / "yolov3-nano.cfg"
NETDEF = read_netdef(NANO)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Random weights of yolov3-nano."""
    path = tmp_path / "nano.weights"
    write_weights(path, random_weights(NETDEF, np.random.default_rng(1)), NETDEF)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the main of a command with arguments; returns its exit code."""

    def call(main: Callable[[], int], *arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["command.py", *map(str, arguments)])
        try:
            return exit_code(main)
        except SystemExit as left:
            return int(left.code or 0)

    return call


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A handful of shapes."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(["--out", str(folder), "--train", "6", "--valid", "4", "--size", "64"])
    return folder / "shapes.data"


def test_channel_pruning_writes_a_pair_that_opencv_reads(run: Run, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(prune_channel.main, "--cfg", NANO, "--weights", weights, "--percent", 0.5, "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "plan.json",
        "pruned.cfg",
        "pruned.weights",
        "summary.json",
    ]
    netdef = read_netdef(out / "pruned.cfg")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["after"]["parameters"] == read_weights(out / "pruned.weights", netdef).floats
    assert summary["after"]["bflops"] < summary["before"]["bflops"]
    assert "ap50" not in summary["before"], "a metric that was not computed is absent"
    assert not cv2.dnn.readNetFromDarknet(str(out / "pruned.cfg"), str(out / "pruned.weights")).empty()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda plan: plan["policy"].update(percent="half"), "'percent' must be a number"),
        (lambda plan: plan["masks"].append({"group": 99_999, "width": 1, "cut": []}), "group 99999"),
        (lambda plan: plan["masks"][0].update(width=99, cut=[98]), "channels wide, the mask 99"),
        (lambda plan: plan["masks"][0].update(producers=[1, 2]), "the plan says 1, 2"),
    ],
)
def test_a_plan_that_was_changed_by_hand_is_one_line(
    run: Run,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], object],
    what: str,
) -> None:
    pair = ("--cfg", NANO, "--weights", weights)
    assert run(prune_channel.main, *pair, "--out", tmp_path / "first") == 0
    plan = json.loads((tmp_path / "first" / "plan.json").read_text())
    change(plan)
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    capsys.readouterr()
    assert run(prune_channel.main, *pair, "--plan", tmp_path / "plan.json", "--out", tmp_path / "second") == 2
    printed = capsys.readouterr().err
    assert what in printed
    assert printed.count("\n") == 1


def test_weights_past_max_batches_are_noted_and_keep_their_seen(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = random_weights(NETDEF, np.random.default_rng(1))
    for seen, noted in ((16 * 1000, True), (16 * 1000 - 1, False)):
        path, out = tmp_path / f"{seen}.weights", tmp_path / str(seen)
        write_weights(path, replace(some, header=Header(seen=seen)), NETDEF)
        assert run(prune_layer.main, "--cfg", NANO, "--weights", path, "--shortcuts", 0, "--out", out) == 0
        assert ("pass -clear" in capsys.readouterr().out) is noted
        assert (out / "pruned.weights").read_bytes() == path.read_bytes()


def test_a_plan_replays_to_the_same_bytes(run: Run, weights: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    pair = ("--cfg", NANO, "--weights", weights)
    assert run(prune_channel.main, *pair, "--percent", 0.6, "--rule", "share", "--out", first) == 0
    assert run(prune_channel.main, *pair, "--plan", first / "plan.json", "--out", second) == 0
    for name in ("pruned.cfg", "pruned.weights"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_replay_that_would_cut_a_layer_to_keep_is_refused_in_one_line(
    run: Run, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = ("--cfg", NANO, "--weights", weights)
    assert run(prune_channel.main, *pair, "--keep-layers", "1", "--out", tmp_path / "a") == 0
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert plan["scope"] == {"tie": "union", "protect": ["upsample"], "keep": [1]}
    netdef = read_netdef(tmp_path / "a" / "pruned.cfg")
    assert netdef.convolution(1).filters == NETDEF.convolution(1).filters
    cut = next(mask["producers"][0] for mask in plan["masks"] if mask["cut"])
    replay = (*pair, "--plan", tmp_path / "a" / "plan.json", "--out", tmp_path / "b")
    capsys.readouterr()
    assert run(prune_channel.main, *replay, "--keep-layers", cut) == 2
    error = capsys.readouterr().err
    assert f"layer {cut} is kept (--keep-layers)" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "b").exists()
    assert run(prune_channel.main, *replay) == 0
    for name in ("plan.json", "pruned.cfg", "pruned.weights"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_plan_for_other_weights_is_refused(
    run: Run, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(prune_channel.main, "--cfg", NANO, "--weights", weights, "--out", tmp_path / "a") == 0
    other = tmp_path / "other.weights"
    write_weights(other, random_weights(NETDEF, np.random.default_rng(2)), NETDEF)
    plan = tmp_path / "a" / "plan.json"
    assert run(prune_channel.main, "--cfg", NANO, "--weights", other, "--plan", plan, "--out", tmp_path / "b") == 2
    assert "made for another cfg or other weights" in capsys.readouterr().err
    toy = REPOSITORY / "cfg" / "toy.cfg"
    write_weights(other, random_weights(read_netdef(toy), np.random.default_rng(2)), read_netdef(toy))
    assert run(prune_channel.main, "--cfg", toy, "--weights", other, "--plan", plan, "--out", tmp_path / "b") == 2
    assert "made for another cfg or other weights" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_plan_of_the_other_command_is_refused_and_names_it(
    run: Run, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = ("--cfg", NANO, "--weights", weights)
    assert run(prune_layer.main, *pair, "--shortcuts", 1, "--out", tmp_path / "a") == 0
    assert run(prune_channel.main, *pair, "--plan", tmp_path / "a/plan.json", "--out", tmp_path / "b") == 2
    assert "is a plan for layers: replay it with prune_layer.py" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_layer_pruning_removes_the_requested_blocks(run: Run, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(prune_layer.main, "--cfg", NANO, "--weights", weights, "--shortcuts", 3, "--out", out) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["before"]["layers"] - summary["after"]["layers"] == 9
    assert len(summary["removed_layers"]) == 9


@pytest.mark.parametrize(
    ("main", "flags", "words"),
    [
        (prune_channel.main, ["--percent", "1"], "--percent 1: must be in [0, 1)"),
        (prune_channel.main, ["--percent", "-0.1"], "must be in [0, 1)"),
        (prune_channel.main, ["--layer-keep", "2"], "--layer-keep"),
        (prune_channel.main, ["--protect", "nonsense"], "choose from upsample"),
        (prune_channel.main, ["--img-size", "100"], "multiples of 16"),
        (prune_channel.main, ["--sweep", "0.5:0.7:0.1"], "needs --data"),
        (prune_layer.main, ["--shortcuts", "8"], "has 7 removable residual blocks"),
        (prune_channel.main, ["--keep-layers", "37"], "--keep-layers 37: "),
        (prune_channel.main, ["--keep-layers", "9-3"], "such as 3,17-20"),
        (prune_layer.main, ["--keep-layers", "2,400"], "has the layers 0 to 36"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(
    run: Run,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[], int],
    flags: list[str],
    words: str,
) -> None:
    out = tmp_path / "out"
    assert run(main, "--cfg", NANO, "--weights", weights, "--out", out, *flags) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_weights_of_another_cfg_name_both_lengths(
    run: Run, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = REPOSITORY / "cfg" / "toy.cfg"
    assert run(prune_channel.main, "--cfg", toy, "--weights", weights, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "1,004,256" in error
    assert "13,748" in error


def test_results_are_not_overwritten_without_the_flag(
    run: Run, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--cfg", NANO, "--weights", weights, "--out", tmp_path / "out")
    assert run(prune_channel.main, *arguments) == 0
    assert run(prune_channel.main, *arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(prune_channel.main, *arguments, "--overwrite") == 0


def test_an_out_that_cannot_be_made_is_refused_before_any_work(
    run: Run, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out"
    assert run(prune_channel.main, "--cfg", NANO, "--weights", weights, "--out", out) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_failing_equivalence_check_ends_with_1_and_nothing_written(
    run: Run, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(pruned: object) -> float:
        raise VerificationError("equivalence check: deviates")

    monkeypatch.setattr("prune.verify.equivalence.check_equivalence", fail)
    assert run(prune_channel.main, "--cfg", NANO, "--weights", weights, "--out", tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()


def test_a_sweep_shows_each_percent_and_writes_nothing(
    run: Run, weights: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--sweep", "0.2:0.4:0.2", "--data", data, "--img-size", 64, "--json", tmp_path / "sweep.json")
    assert run(prune_channel.main, "--cfg", NANO, "--weights", weights, *flags) == 0
    rows = json.loads((tmp_path / "sweep.json").read_text())["sweep"]
    assert [row["percent"] for row in rows] == [0.0, 0.2, 0.4]
    assert [row["parameters"] for row in rows] == sorted((row["parameters"] for row in rows), reverse=True)
    assert all("ap50" in row for row in rows)
    assert "percent" in capsys.readouterr().out


def test_with_data_before_and_after_are_measured(run: Run, weights: Path, data: Path, tmp_path: Path) -> None:
    flags = ("--percent", 0.3, "--data", data, "--img-size", 64, "--out", tmp_path / "out")
    assert run(prune_channel.main, "--cfg", NANO, "--weights", weights, *flags) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert 0 <= summary["after"]["ap50"] <= 1
    assert summary["after"]["images"] == 4
    assert summary["after"]["protocol"] == "voc10"


def test_data_of_other_classes_leave_no_files(run: Run, data: Path, tmp_path: Path) -> None:
    cfg, weights, out = tmp_path / "net.cfg", tmp_path / "net.weights", tmp_path / "out"
    assert run(adapt.main, NANO, "--classes", 5, "--out", cfg) == 0
    write_weights(weights, random_weights(read_netdef(cfg), np.random.default_rng(1)), read_netdef(cfg))
    assert run(prune_channel.main, "--cfg", cfg, "--weights", weights, "--data", data, "--out", out) == 2
    assert not out.exists()


def test_skipped_labels_and_images_are_reported(
    run: Run, weights: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    make_shapes(["--out", str(broken), "--train", "1", "--valid", "2", "--size", "64"])
    (broken / "images/valid/valid-00000.jpg").write_text("no image")
    (broken / "labels/valid/valid-00001.txt").write_text("7 0.5 0.5 0.1 0.1\n")
    command = ("--cfg", NANO, "--weights", weights, "--data", broken / "shapes.data", "--img-size", 64)
    assert run(prune_channel.main, *command, "--out", tmp_path / "out") == 0
    told = capsys.readouterr().err
    assert told.count("1 × image cannot be decoded") == 1
    assert told.count("1 × label line skipped, class") == 1


def test_data_that_measure_nothing_are_reported(
    run: Run, weights: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    make_shapes(["--out", str(empty), "--train", "1", "--valid", "1", "--size", "64"])
    (empty / "labels/valid/valid-00000.txt").write_text("")
    told = "no image of the valid set has an object that counts, so there is no AP"
    for path, said in ((empty / "shapes.data", True), (data, False)):
        assert run(prune_channel.main, "--cfg", NANO, "--weights", weights, "--data", path, "--dry-run") == 0
        assert (told in capsys.readouterr().err) == said


def test_a_dry_run_writes_nothing(run: Run, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ("--cfg", NANO, "--weights", weights, "--dry-run", "--out", out)
    assert run(prune_channel.main, *arguments) == 0
    assert "channels" in capsys.readouterr().out
    assert run(prune_channel.main, *arguments, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["share"]["asked"] == 0.8
    assert not out.exists()


def test_explain_names_groups_blocks_and_lists(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(explain.main, REPOSITORY / "cfg" / "yolov3.cfg") == 0
    shown = capsys.readouterr().out
    assert "CBL (with batch norm): 72" in shown
    assert "65.879 BFLOPs" in shown
    assert "feeds the upsample at layer 85" in shown
    assert shown.count("removable") == 23


def test_adapt_changes_only_classes_and_filters(run: Run, tmp_path: Path) -> None:
    source, out = REPOSITORY / "cfg" / "yolov3-tiny.cfg", tmp_path / "new.cfg"
    assert run(adapt.main, source, "--classes", 3, "--out", out) == 0
    before, after = source.read_text().splitlines(), out.read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [("filters=255", "filters=24"), ("classes=80", "classes=3")] * 2
    assert run(adapt.main, source, "--classes", 3, "--out", out) == 2, "it exists already"


def test_compare_guards_the_last_stage(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, ap50 in (("base", 0.9), ("cut", 0.88)):
        facts = {"parameters": 10, "bflops": 1.0, "weights_bytes": 40, "layers": 3, "ap50": ap50}
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps(facts))
    stages = (tmp_path / "base", tmp_path / "cut")
    assert run(compare.main, *stages, "--behind", 0.03) == 0
    assert run(compare.main, *stages, "--behind", 0.01) == 3
    assert "more than 0.01 below" in capsys.readouterr().err
    assert run(compare.main, tmp_path / "absent") == 2


def test_data_of_other_classes_or_channels_end_the_command_before_any_work(
    run: Run,
    weights: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_late(*_: object) -> NoReturn:
        raise AssertionError("planned although the data do not fit")

    monkeypatch.setattr("prune.commands.prune_channel.plan_channels", too_late)
    seven, other = adapt_classes(NETDEF, 7), tmp_path / "other.cfg"
    other.write_text(format_netdef(seven))
    write_weights(tmp_path / "other.weights", random_weights(seven, np.random.default_rng(0)), seven)
    flags = ("--data", data, "--out", tmp_path / "out")
    assert run(prune_channel.main, "--cfg", other, "--weights", tmp_path / "other.weights", *flags) == 2
    assert "has 7 classes and the data 3" in capsys.readouterr().err
    grey = tmp_path / "four.cfg"
    grey.write_text(format_netdef(NETDEF.with_net_option("channels", "4")))
    assert run(prune_channel.main, "--cfg", grey, "--weights", weights, *flags) == 2
    assert "channels=4, but images are read with" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
