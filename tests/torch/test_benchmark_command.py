"""benchmark.py: what it writes, and what it refuses in one line."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

import benchmark
from prune.cli import exit_code
from prune.cli.benchmark import choose_runtimes
from prune.errors import UsageError
from prune.runtimes.table import RUNTIMES
from tests.runtime_networks import UNREADABLE, two_headed, write_pair

Run = Callable[..., int]
QUICK = ("--repeat", 2, "--warm-up", 0)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs benchmark.py; returns its exit code."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *map(str, arguments)])
        try:
            return exit_code(benchmark.main)
        except SystemExit as left:
            return int(left.code or 0)

    return call


def pair(folder: Path, name: str, text: str) -> list[object]:
    cfg, weights = write_pair(folder, name, text)
    return ["--cfg", cfg, "--weights", weights]


def summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_two_networks_side_by_side(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    networks = [*pair(tmp_path, "full", two_headed(16)), *pair(tmp_path, "small", two_headed(4))]
    out = tmp_path / "out"
    assert run(*networks, "--runtime", "opencv", "--img-size", "64", *QUICK, "--out", out) == 0
    found = summary(out)
    full, small = found["measured"]
    assert (full["runtime"], full["network"], small["network"]) == ("opencv", "full", "small")
    assert full["first_quartile"] <= full["milliseconds"] <= full["third_quartile"]
    assert small["speedup"] == pytest.approx(full["milliseconds"] / small["milliseconds"])
    assert small["bflops_reduction"] == pytest.approx(full["bflops"] / small["bflops"])
    assert "speedup" not in full
    assert max(full["difference"], small["difference"]) < 1e-3, "OpenCV has another epsilon"
    assert [network["img_size"] for network in found["networks"]] == [[64, 64]] * 2
    assert {Path(record["path"]).name for record in found["outputs"]} == {"benchmark.csv", "latency.png"}
    assert cv2.imread(str(out / "latency.png")) is not None
    shown = capsys.readouterr().out
    assert "speed-up / reduction" in shown
    assert shown.count("opencv") == 3


def test_a_network_that_a_runtime_cannot_read_has_a_row_with_the_reason(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    networks = [*pair(tmp_path, "odd", two_headed(4, UNREADABLE)), *pair(tmp_path, "plain", two_headed(4))]
    assert run(*networks, "--runtime", "opencv", *QUICK, "--out", tmp_path / "out") == 0
    odd, plain = summary(tmp_path / "out")["measured"]
    assert "local_avgpool" in odd["failure"]
    assert "milliseconds" not in odd
    assert plain["milliseconds"] > 0
    assert "speedup" not in plain
    capsys.readouterr()
    assert run(*networks[:4], "--runtime", "opencv", *QUICK) == 2
    shown = capsys.readouterr()
    assert "local_avgpool" in shown.out
    assert "no runtime could run" in shown.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--threads", "0"), "--threads 0 must be at least 1"),
        (("--repeat", "0"), "--repeat 0 must be at least 1"),
        (("--batch-size", "0"), "--batch-size 0 must be at least 1"),
        (("--warm-up", "-1"), "--warm-up -1 must be 0 or more"),
        (("--runtime", "tensorrt"), "--runtime tensorrt must be one of torch, opencv"),
        (("--img-size", "33"), "multiples of 8"),
        (("--weights", "more.weights"), "once per network"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    assert run(*pair(tmp_path, "net", two_headed(2)), *flags) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_a_missing_file_is_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg, weights = write_pair(tmp_path, "net", two_headed(2))
    weights.unlink()
    assert run("--cfg", cfg, "--weights", weights) == 2
    assert capsys.readouterr().err == f"error: {weights}: no such file; check the path\n"


def test_earlier_results_are_kept_unless_overwriting_is_requested(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "latency.png").write_bytes(b"earlier")
    assert run(*pair(tmp_path, "net", two_headed(2)), "--out", tmp_path / "out") == 2
    assert (tmp_path / "out" / "latency.png").read_bytes() == b"earlier"


def test_a_runtime_that_is_not_installed_is_left_out_or_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))
    with pytest.raises(UsageError, match=r"openvino is not installed; pip install onnx openvino"):
        choose_runtimes(["torch", "openvino"])
    with caplog.at_level("INFO"):
        found = [runtime.name for runtime in choose_runtimes(["all"])]
    assert found[:2] == ["torch", "opencv"]
    assert not {"openvino", "openvino-default"} & set(found)
    assert [message for message in caplog.messages if message.startswith("openvino is left out")] != []
    assert list(RUNTIMES)[:2] == found[:2]
