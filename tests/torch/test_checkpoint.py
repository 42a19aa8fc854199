"""Checkpoints: what is in them, who can read them, and files of others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from prune.errors import WeightsError
from prune.model.files import load_plain, read_state, strip_module
from prune.train.checkpoint import read_checkpoint, write_checkpoint
from tests.torch.toy import toy_model, toy_trainer


@dataclass
class Opaque:
    """A class that only unpickling could bring back."""

    value: int = 1


def test_a_checkpoint_survives_a_round_trip_with_weights_only(tmp_path: Path) -> None:
    trainer = toy_trainer(toy_model(), tmp_path, epochs=2)
    trainer.fit()
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    assert content["format"] == 1
    assert content["cfg"] == "[net]\n"
    assert content["settings"]["epochs"] == 2
    assert content["rng"]["cpu"].dtype == torch.uint8
    read = read_checkpoint(tmp_path / "last.pt")
    assert (read.epoch, read.step, read.seen) == (2, 6, 24)
    assert all(torch.equal(read.model[k], v) for k, v in trainer.model.state_dict().items())


def test_a_failed_write_leaves_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = toy_trainer(toy_model(), tmp_path, epochs=1)
    trainer.fit()
    before = (tmp_path / "last.pt").read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prune.files.reading.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path / "last.pt", trainer.checkpoint())
    assert (tmp_path / "last.pt").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.pt", "last.pt", "results.csv"]


@pytest.mark.parametrize("wrap", ["bare", "model", "state_dict"])
def test_module_in_front_of_names_is_taken_off(tmp_path: Path, wrap: str) -> None:
    state = toy_model().state_dict()
    wrapped = {f"module.{name}": value for name, value in state.items()}
    torch.save(wrapped if wrap == "bare" else {wrap: wrapped, "epoch": 3}, tmp_path / "peer.pt")
    read = read_state(tmp_path / "peer.pt")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)
    assert strip_module("module.module.a.module.b") == "a.module.b"


def test_the_averaged_weights_are_preferred(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.zeros(1)}, "ema": {"w": torch.ones(1)}}, tmp_path / "a.pt")
    assert read_state(tmp_path / "a.pt")["w"].item() == 1


def test_a_peers_numpy_scalar_is_read_without_unpickling_code(tmp_path: Path) -> None:
    content = {"epoch": 1, "best_fitness": np.float64(0.5), "model": {"w": torch.ones(2)}}
    torch.save(content, tmp_path / "peer.pt")
    assert load_plain(tmp_path / "peer.pt")["best_fitness"] == 0.5
    assert read_state(tmp_path / "peer.pt")["w"].sum() == 2


def test_a_file_that_holds_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": Opaque()}, tmp_path / "code.pt")
    with pytest.raises(WeightsError, match=r"code\.pt: is not a readable .pt file of plain tensors"):
        load_plain(tmp_path / "code.pt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken\.pt"):
        read_state(tmp_path / "broken.pt")


def test_a_file_of_weights_alone_cannot_be_resumed(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.ones(1)}}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="start with --weights instead"):
        read_checkpoint(tmp_path / "a.pt")


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"epoch": 1}}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="contains no weights"):
        read_state(tmp_path / "a.pt")
