"""The types of number that --amp chooses, and the forward pass that --compile makes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import train
import train_sparse
from prune.errors import UsageError
from prune.train import compiled, precision
from prune.train.checkpoint import read_checkpoint, write_checkpoint
from prune.train.precision import choose_precision
from prune.train.settings import AMPS, Amp
from tests.torch.small_trainings import BASE, folder, run
from tests.torch.toy import toy_model, toy_trainer

__all__ = ["folder"]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
EVERY = {"off": None, "auto": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.mark.parametrize("amp", AMPS)
@pytest.mark.parametrize("units", [False, True])
def test_a_gpu_computes_in_bf16_where_it_can_else_in_fp16(
    monkeypatch: pytest.MonkeyPatch, units: bool, amp: Amp
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0) if units else (7, 5))
    chosen = choose_precision(amp, CUDA)
    assert chosen.dtype == (EVERY | {"auto": torch.bfloat16 if units else torch.float16})[amp]
    assert chosen.scaled == (chosen.dtype is torch.float16)
    assert bool(chosen.note) == (amp == "bf16" and not units)


@pytest.mark.parametrize("units", [False, True])
def test_a_cpu_computes_in_bf16_where_it_has_the_units_else_in_float32_and_says_so(
    monkeypatch: pytest.MonkeyPatch, units: bool
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: units)
    auto, asked = choose_precision("auto", CPU), choose_precision("bf16", CPU)
    assert (auto.dtype, asked.dtype) == (torch.bfloat16 if units else None, torch.bfloat16)
    assert bool(auto.note) == bool(asked.note) == (not units)
    assert choose_precision("off", CPU).dtype is None
    with pytest.raises(UsageError, match=r"^--amp fp16: a CPU cannot train in fp16; use --amp bf16, or --amp auto$"):
        choose_precision("fp16", CPU)


@pytest.mark.parametrize(
    ("flags", "message"),
    [("--amp fp16", "--amp fp16: a CPU cannot"), ("--amp half", "argument --amp: invalid choice: 'half'")],
)
def test_what_a_cpu_cannot_compute_in_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: str, message: str
) -> None:
    monkeypatch.setattr("sys.argv", sys.argv)
    code: object
    try:
        code = run(monkeypatch, train, f"{BASE} out {flags}")
    except SystemExit as left:
        code = left.code
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 2
    assert message in line


def test_amp_alone_is_auto_and_a_training_in_bf16_learns_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for out, flags in {"plain": "", "alone": "--amp", "bf16": "--amp bf16"}.items():
        assert run(monkeypatch, train, f"{BASE} {out} {flags}") == 0
        rows = (folder / out / "results.csv").read_text().splitlines()
        losses.append(float(rows[-1].split(",")[rows[0].split(",").index("loss")]))
    assert read_checkpoint(folder / "alone/last.pt").settings["amp"] == "auto"
    assert losses == pytest.approx([losses[0]] * 3, rel=0.02)


def test_a_checkpoint_from_before_amp_had_names_is_resumed_without_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, train, f"{BASE} out") == 0
    checkpoint = read_checkpoint(folder / "out/last.pt")
    checkpoint.settings["amp"] = False
    write_checkpoint(folder / "out/last.pt", checkpoint)
    capsys.readouterr()
    assert run(monkeypatch, train, f"{BASE} out --resume") == 0
    assert capsys.readouterr().err == ""


def test_a_compiled_forward_pass_changes_neither_the_weights_nor_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled_models = []
    compiling = torch.compile

    def traced(model: Any) -> Any:
        compiled_models.append(model)
        return compiling(model, backend="eager")

    monkeypatch.setattr(torch, "compile", traced)
    for name, more in {"plain": False, "compiled": True}.items():
        toy_trainer(toy_model(), tmp_path / name, compile=more).fit()
    plain, other = (read_checkpoint(tmp_path / name / "last.pt").model for name in ("plain", "compiled"))
    assert len(compiled_models) == 1
    assert plain.keys() == other.keys()
    for key, value in plain.items():
        torch.testing.assert_close(value, other[key])


def test_a_network_is_traced_without_a_break(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.utils import counters

    monkeypatch.setattr(torch, "compile", lambda model, compiling=torch.compile: compiling(model, backend="eager"))
    counters.clear()
    assert run(monkeypatch, train_sparse, f"{BASE} out --compile --multi-scale --accumulate 2") == 0
    assert counters["stats"]["unique_graphs"] > 0
    assert not counters["graph_break"]


@pytest.mark.parametrize("named", [None, "no-such-compiler"])
def test_without_a_compiler_there_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str | None
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    if named:
        monkeypatch.setenv("CXX", named)
    assert run(monkeypatch, train, f"{BASE} out --compile") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--compile: no C++ compiler was found ({named or 'g++'}" in line
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    assert compiled.missing_compiler(CUDA) == "the package triton is missing"


def test_a_compiler_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: object) -> Any:
        def forward(imgs: object) -> None:
            raise torch._dynamo.exc.TorchDynamoException("no\nheaders")

        return forward

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(compiled, "missing_compiler", lambda device: None)
    with pytest.raises(UsageError, match=r"^--compile: fails on this machine \(no headers\); leave out --compile$"):
        toy_trainer(toy_model(), compile=True).fit()
