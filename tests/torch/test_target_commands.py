"""The targets, widths and bounds of the pruning commands, run as a user runs them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prune_channel
import prune_layer
from prune import explain
from prune.cli import exit_code
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.weights import random_weights, write_weights
from tests.small_cfgs import ADD, HEAD, NET, cbl

Run = Callable[..., int]
BLOCK = cbl(32) + cbl(32, size=3, pad=1) + ADD + "from=-3\n"
SMALL = NET + cbl(32) + BLOCK * 3 + cbl(256) * 2 + HEAD
"""Blocks at the shortcuts 3, 6 and 9, then the layers 10 and 11, which can be pruned alone."""


@pytest.fixture
def pair(tmp_path: Path) -> tuple[object, ...]:
    """The flags of a small network."""
    cfg, weights = tmp_path / "small.cfg", tmp_path / "small.weights"
    cfg.write_text(SMALL)
    netdef = parse_netdef(SMALL)
    write_weights(weights, random_weights(netdef, np.random.default_rng(1)), netdef)
    return "--cfg", cfg, "--weights", weights


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


def written(out: Path) -> tuple[dict[str, Any], dict[str, Any], NetDef]:
    """The summary, the plan and the network in an out folder."""
    summary, plan = (json.loads((out / name).read_text()) for name in ("summary.json", "plan.json"))
    return summary, plan, read_netdef(out / "pruned.cfg")


def test_channels_are_pruned_to_a_target_and_the_plan_replays(
    run: Run, pair: tuple[object, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(prune_channel.main, *pair, "--target-params", "0.3x", "--out", first) == 0
    assert "--target-params 0.3x" in capsys.readouterr().out
    summary, plan, _ = written(first)
    wanted, left = (summary["targets"]["params"][name] for name in ("wanted", "left"))
    assert wanted == pytest.approx(0.3 * summary["before"]["parameters"])
    assert 0.98 * wanted <= left == summary["after"]["parameters"] <= wanted
    assert plan["policy"] == {
        "kind": "channels", "rule": "share", "layer_keep": 0.01, "tie": "union", "targets": {"params": "0.3x"},
    }  # fmt: skip
    assert run(prune_channel.main, *pair, "--plan", first / "plan.json", "--out", second) == 0
    for name in ("pruned.cfg", "pruned.weights", "plan.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_blocks_widths_and_two_targets_work_together(run: Run, pair: tuple[object, ...], tmp_path: Path) -> None:
    flags = ("--shortcuts", 1, "--target-bflops", "0.4x", "--target-mb", "0.9x", "--multiple-of", 4)
    assert run(prune_channel.main, *pair, *flags, "--out", tmp_path / "out") == 0
    summary, plan, netdef = written(tmp_path / "out")
    assert len(plan["removed_blocks"]) == 1
    assert (plan["policy"]["multiple_of"], plan["policy"]["shortcuts"]) == (4, 1)
    assert 0.98 * 0.4 <= summary["after"]["bflops"] / summary["before"]["bflops"] <= 0.4
    assert summary["after"]["weights_bytes"] <= 0.9 * summary["before"]["weights_bytes"]
    assert summary["after"]["layers"] == summary["before"]["layers"] - 3
    assert all(layer.filters % 4 == 0 for layer in netdef.convolutions if layer.batch_normalize)


def test_blocks_are_removed_until_a_target_is_met(run: Run, pair: tuple[object, ...], tmp_path: Path) -> None:
    assert run(prune_layer.main, *pair, "--target-bflops", "0.8x", "--out", tmp_path / "out") == 0
    summary, plan, _ = written(tmp_path / "out")
    assert plan["policy"]["targets"] == {"bflops": "0.8x"}
    assert plan["policy"]["shortcuts"] == len(plan["removed_blocks"]) > 0
    assert summary["after"]["bflops"] <= 0.8 * summary["before"]["bflops"]
    assert summary["targets"]["bflops"]["left"] == pytest.approx(summary["after"]["bflops"])


def test_bounds_are_kept_and_recorded(run: Run, pair: tuple[object, ...], tmp_path: Path) -> None:
    bounds = tmp_path / "bounds.txt"
    bounds.write_text("10 0.5 0.5\n11 0.9 1.0\n")
    assert run(prune_channel.main, *pair, "--bounds", bounds, "--out", tmp_path / "out") == 0
    summary, plan, netdef = written(tmp_path / "out")
    assert netdef.convolution(10).filters == 128
    assert netdef.convolution(11).filters >= 231
    assert plan["policy"]["bounds"] == {"10": [0.5, 0.5], "11": [0.9, 1.0]}
    assert str(bounds) in [entry["path"] for entry in summary["inputs"]]


def test_a_dry_run_and_explain_show_what_is_reachable(
    run: Run, pair: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    calls = [
        (prune_channel.main, (*pair, "--layer-keep", 0.5, "--dry-run")),
        (explain.main, (pair[1], "--layer-keep", 0.5)),
        (prune_layer.main, (*pair, "--dry-run")),
    ]
    for main, flags in calls:
        assert run(main, *flags) == 0
        lines = capsys.readouterr().out.splitlines()
        begin = next(number for number, line in enumerate(lines) if line.startswith("reachable"))
        shown.append(lines[begin : begin + 5])
    assert shown[0] == shown[1] != shown[2]
    assert [line.split()[0] for line in shown[0][2:]] == ["parameters", "BFLOPs", "MB"]


WRONG: list[tuple[Callable[[], int], list[str], int, str]] = [
    (prune_channel.main, ["--target-params", "0.0005x"], 3, "can be kept with these flags"),
    (prune_channel.main, ["--target-mb", "900"], 3, "can be kept with these flags"),
    (prune_layer.main, ["--target-params", "0.01x"], 3, "can be kept with these flags"),
    (prune_channel.main, ["--target-mb", "0.3x", "--percent", "0.8"], 2, "--target-mb and --percent exclude"),
    (prune_channel.main, ["--target-mb", "0.3x", "--percent", "auto"], 2, "--target-mb and --percent exclude"),
    (prune_channel.main, ["--target-mb", "0.3x", "--rule", "threshold"], 2, "--target-mb and --rule exclude"),
    (prune_channel.main, ["--target-mb", "0.3x", "--sweep", "0.5:0.6:0.1"], 2, "--target-mb and --sweep exclude"),
    (prune_channel.main, ["--target-mb", "0.3x", "--plan", "p.json"], 2, "--target-mb and --plan exclude"),
    (prune_layer.main, ["--target-mb", "0.9x", "--shortcuts", "1"], 2, "--target-mb and --shortcuts exclude"),
    (prune_channel.main, ["--target-mb", "0.3x", "--target_mb", "0.4x"], 2, "--target-mb: is given twice"),
    (prune_channel.main, ["--target-mb", "3M"], 2, "without k, M or G"),
    (prune_channel.main, ["--target-bflops", "1x"], 2, "must lie between 0x and 1x"),
    (prune_channel.main, ["--shortcuts", "1"], 2, "--shortcuts needs a target"),
    (prune_channel.main, ["--shortcuts", "4", "--target-mb", "0.3x"], 2, "has 3 removable residual blocks"),
    (prune_channel.main, ["--shortcuts", "-1", "--target-mb", "0.3x"], 2, "--shortcuts -1 must be 0 or more"),
    (prune_channel.main, ["--multiple-of", "0"], 2, "--multiple-of 0 must be at least 1"),
    (prune_channel.main, ["--keep-layers", "99"], 2, "--keep-layers 99"),
    (prune_channel.main, ["--bounds", "BOUNDS"], 2, "bounds.txt:2: layer 12 cannot be pruned: feeds the head"),
]
"""Command, flags, exit code, and words of the message."""


@pytest.mark.parametrize(("main", "flags", "code", "words"), WRONG)
def test_what_cannot_be_is_one_line_and_writes_nothing(
    run: Run,
    pair: tuple[object, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[], int],
    flags: list[str],
    code: int,
    words: str,
) -> None:
    bounds = tmp_path / "bounds.txt"
    bounds.write_text("# the last one\n12 0 1\n")
    out = tmp_path / "out"
    assert run(main, *pair, "--out", out, *[bounds if flag == "BOUNDS" else flag for flag in flags]) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not out.exists()
