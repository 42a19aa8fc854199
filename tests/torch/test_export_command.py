"""export.py: the file, its summary, its check, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import export
from prune.commands import export as command
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import write_weights
from prune.detect import export_check
from prune.export.build import read_exported
from prune.export.runtime import run_exported
from prune.files.reading import sha256
from prune.graph.cost import network_cost
from prune.model.build import DarknetModel
from prune.model.state import load_weights
from tests.strategies import as_float32, tame_weights
from tests.torch.heads import two_head_cfg
from tests.torch.small_trainings import run

Export = Callable[[str], int]
PAIR = "--cfg a.cfg --weights a.weights"


@pytest.fixture
def exporting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Runs export.py in a folder with a pair, its names and a .data file, the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("a.cfg").write_text(two_head_cfg(2))
    netdef = read_netdef("a.cfg")
    write_weights("a.weights", as_float32(tame_weights(netdef, 0)), netdef)
    Path("two.names").write_text("cat\ndog\n")
    Path("one.names").write_text("cat\n")
    Path("a.data").write_text("classes = 2\nnames = two.names\n")
    return lambda arguments: run(monkeypatch, export, arguments)


def test_a_file_and_its_summary_are_written(exporting: Export, capsys: pytest.CaptureFixture[str]) -> None:
    assert exporting(f"{PAIR} --out new/net.onnx --names two.names --img-size 96x64 --batch dynamic") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("new/net.onnx: 2")
    assert shown[1].startswith("onnxruntime computes with it what the network computes, to ")
    assert sorted(path.name for path in Path("new").iterdir()) == ["net.onnx", "net.onnx.json"]
    info = read_exported("new/net.onnx")
    assert (info.width, info.height, info.batch, info.names) == (96, 64, None, ("cat", "dog"))
    summary = json.loads(Path("new/net.onnx.json").read_text())
    assert summary["command"] == "export.py"
    assert summary["parameters"] == network_cost(read_netdef("a.cfg")).parameters
    assert (summary["opset"], summary["img_size"]) == (13, [96, 64])
    assert 0 <= summary["deviation"] <= export_check.TOLERANCE
    assert [record["path"] for record in summary["inputs"]] == ["a.cfg", "a.weights", "two.names"]
    assert summary["outputs"] == [{"path": "new/net.onnx", "sha256": sha256("new/net.onnx")}]


def test_names_may_come_from_a_data_file(exporting: Export) -> None:
    assert exporting(f"{PAIR} --out net.onnx --data a.data --decode --no-fold-bn") == 0
    info = read_exported("net.onnx")
    assert (info.names, info.decoded, info.folded) == (("cat", "dog"), True, False)


def test_a_checkpoint_gives_the_same_file_as_its_weights(exporting: Export) -> None:
    netdef = read_netdef("a.cfg")
    load_weights(model := DarknetModel(netdef), as_float32(tame_weights(netdef, 0)))
    torch.save(model.state_dict(), "a.pt")
    assert exporting(f"{PAIR} --out a.onnx") == 0
    assert exporting("--cfg a.cfg --weights a.pt --out b.onnx") == 0
    assert sha256("a.onnx") == sha256("b.onnx")


def test_nothing_is_replaced_unasked(exporting: Export, capsys: pytest.CaptureFixture[str]) -> None:
    for taken in ("net.onnx", "net.onnx.json"):
        Path(taken).write_text("mine")
        assert exporting(f"{PAIR} --out net.onnx") == 2
        said = f"error: {taken} exists already: choose another --out, or pass --overwrite to replace it\n"
        assert capsys.readouterr().err == said
        assert Path(taken).read_text() == "mine"
        Path(taken).unlink()
    Path("net.onnx").write_text("mine")
    assert exporting(f"{PAIR} --out net.onnx --overwrite") == 0
    assert read_exported("net.onnx").outputs == ("yolo_5", "yolo_9")


def test_a_file_that_computes_something_else_is_not_written(
    exporting: Export, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exporting(f"{PAIR} --out net.onnx") == 0
    before = {path.name: path.read_bytes() for path in Path().iterdir()}

    def wrong(path: Path, imgs: np.ndarray) -> list[np.ndarray]:
        return [output + np.float32(1e-2) for output in run_exported(path, imgs)]

    monkeypatch.setattr(export_check, "run_exported", wrong)
    assert exporting(f"{PAIR} --out net.onnx --overwrite") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: a.cfg: what onnxruntime computes deviates by ")
    assert error.endswith("more than 0.0001; nothing was written\n")
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_a_file_that_onnxruntime_refuses_is_not_written(
    exporting: Export, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("prune.export.build.OPSET", 1)
    assert exporting(f"{PAIR} --out net.onnx") == 1
    assert "error: a.cfg: onnxruntime cannot run it: " in capsys.readouterr().err
    assert not list(Path().glob("*.onnx*"))


def test_without_onnxruntime_the_file_is_written_unchecked(
    exporting: Export, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("prune.export.runtime.can_run", lambda: False)
    assert exporting(f"{PAIR} --out net.onnx") == 0
    assert (
        "warning: net.onnx: not compared with the network, as onnxruntime is not installed" in capsys.readouterr().err
    )
    assert "deviation" not in json.loads(Path("net.onnx.json").read_text())


def test_without_onnx_one_line_says_what_to_install(
    exporting: Export, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert exporting(f"{PAIR} --out net.onnx") == 2
    assert capsys.readouterr().err == f"error: {command.MISSING}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--out net.onnx --batch 0", "--batch 0 must be at least 1, or dynamic"),
        ("--out net.pb", "--out net.pb must be a file name that ends in .onnx"),
        ("--out net.onnx --img-size 50", "--img-size 50x50: must be multiples of 16, the largest stride of a.cfg"),
        ("--out net.onnx --names one.names", "a.cfg has 2 classes, but there are 1 names"),
        ("--out net.onnx --names two.names --data a.data", "--names and --data both name the classes"),
        ("--out net.onnx --weights no.weights", "no.weights: no such file"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    exporting: Export, capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    before = sorted(Path().iterdir())
    assert exporting(f"{PAIR} {arguments}") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_a_batch_that_is_no_number_is_refused(exporting: Export, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        exporting(f"{PAIR} --out net.onnx --batch many")
    assert "argument --batch: invalid batch value: 'many'" in capsys.readouterr().err
