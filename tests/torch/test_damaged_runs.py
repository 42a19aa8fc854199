"""Files of a run that were damaged or edited: one line that names the file, never a traceback, never a wrong resume."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prune.errors import DataError, PruneError, WeightsError
from prune.model.content import CHECKSUM, checksum
from prune.model.files import load_plain, read_state
from prune.train.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from prune.train.engine import Trainer
from prune.train.gamma import GammaHistory, resume_history
from prune.train.results import resume_results
from tests.torch.toy import toy_model, toy_trainer

TABLE = "epoch,loss,ap50\n0,1.5,\n1,1.25e-05,0.5\n"


@pytest.fixture
def last(tmp_path: Path) -> Path:
    toy_trainer(toy_model(), tmp_path, epochs=2, optimizer="adamw").fit()
    return tmp_path / "last.pt"


def resume(path: Path) -> Trainer:
    """The trainer that read a checkpoint and continued from it for an epoch."""
    trainer = toy_trainer(toy_model(), epochs=3, optimizer="adamw")
    trainer.resume(read_checkpoint(path))
    trainer.fit()
    return trainer


def flipped(data: bytes, count: int) -> Iterator[bytes]:
    """The bytes with one bit changed, at random places."""
    rng = random.Random(0)
    for position in rng.sample(range(len(data)), count):
        yield data[:position] + bytes([data[position] ^ (1 << rng.randrange(8))]) + data[position + 1 :]


class TestChecksum:
    def test_each_flipped_byte_is_noticed_or_changes_nothing(self, last: Path) -> None:
        content, noticed = checksum(load_plain(last)), 0
        for data in flipped(last.read_bytes(), 300):
            last.write_bytes(data)
            try:
                assert checksum(load_plain(last)) == content
            except WeightsError:
                noticed += 1
        assert noticed > 100

    def test_a_flipped_byte_in_the_name_of_the_checksum_is_called_damage(self, last: Path) -> None:
        last.write_bytes(last.read_bytes().replace(b"checksum", b"checkSum"))
        with pytest.raises(WeightsError, match="does not match its checksum"):
            load_plain(last)

    def test_a_flipped_byte_in_a_tensor_is_called_damage(self, last: Path) -> None:
        value = load_plain(last)["model"]["conv.weight"].numpy().tobytes()
        data = last.read_bytes()
        at = data.index(value) + 17
        last.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        for read in (read_checkpoint, read_state):
            with pytest.raises(WeightsError, match=r"last\.pt: is damaged: its content does not match its checksum"):
                read(last)

    def test_a_file_without_a_checksum_is_read_as_before(self, last: Path) -> None:
        content = torch.load(last, weights_only=True)
        for name in (CHECKSUM, "last"):
            del content[name]
        torch.save(content, last)
        assert read_checkpoint(last).last == {}
        resume(last)

    def test_equal_states_make_equal_files_also_after_they_were_read(self, last: Path) -> None:
        before = last.read_bytes()
        write_checkpoint(last, read_checkpoint(last))
        assert last.read_bytes() == before

    def test_tensors_of_any_type_and_shape_have_one(self) -> None:
        odd = [torch.zeros(0), torch.tensor(1.5), torch.ones(2, 3).T, torch.ones(3, dtype=torch.bfloat16),
               torch.tensor([True]), torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)]  # fmt: skip
        sums = [checksum({"a": value}) for value in odd]
        assert len(set(sums)) == len(sums)
        assert checksum({"a": torch.ones(2, 3)}) != checksum({"a": torch.ones(3, 2)})

    def test_it_costs_little(self) -> None:
        content = {"a": torch.rand(8_000_000)}
        begun = time.process_time()
        checksum(content)
        assert time.process_time() - begun < 1, "32 MB"


def set_to(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.__setitem__(name, value)


def edit_state(change: Callable[[dict[Any, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    return lambda content: change(content["optimizer"]["state"][0])


NOT_COUNTS: tuple[Any, ...] = ("3", -1, 1.5, None, True, 2**70, torch.tensor([1, 2]))
NOT_DICTS: tuple[Any, ...] = ([], "x", 3, None)
TAMPERED: dict[str, Callable[[dict[str, Any]], None]] = {
    **{f"{name} is {value!r}": set_to(name, value)
       for name in ("epoch", "step", "seen", "ema_updates")
       for value in NOT_COUNTS},
    **{f"{name} is {value!r}": set_to(name, value)
       for name in ("model", "ema", "rng", "best", "last", "settings", "scaler", "optimizer")
       for value in NOT_DICTS},
    "cfg is bytes": set_to("cfg", b"[net]"),
    "format is a tensor": set_to("format", torch.tensor([1, 1])),
    "format is text": set_to("format", "1"),
    "a weight is text": lambda content: content["model"].__setitem__("conv.weight", "x"),
    "a weight is not finite": lambda content: content["model"]["conv.weight"].fill_(float("nan")),
    "a weight has no name": lambda content: content["ema"].__setitem__(3, torch.ones(1)),
    "a weight is missing": lambda content: content["model"].pop("conv.weight"),
    "a weight has another shape": lambda content: content["ema"].__setitem__("conv.weight", torch.ones(2)),
    "a weight is sparse": lambda content: content["model"].__setitem__("conv.weight", torch.ones(2, 2).to_sparse()),
    "the best is text": set_to("best", {"epoch": 1.0, "ap50": "high"}),
    "the best is infinite": set_to("best", {"epoch": 1.0, "ap50": float("inf")}),
    "a setting is a tensor": lambda content: content["settings"].__setitem__("lr", torch.ones(2)),
    "another optimiser": lambda content: content["settings"].__setitem__("optimizer", "adam"),
    "random states of another kind": set_to("rng", {"cpu": torch.ones(3)}),
    "random states of another size": set_to("rng", {"cpu": torch.ones(3, dtype=torch.uint8)}),
    "random states of no device": set_to("rng", {"tpu": torch.ones(3, dtype=torch.uint8)}),
    "an optimiser without groups": set_to("optimizer", {"state": {}}),
    "an optimiser with too few groups": lambda content: content["optimizer"]["param_groups"].pop(),
    "a group without parameters": lambda content: content["optimizer"]["param_groups"][0].pop("params"),
    "parameters that are no numbers": lambda content: content["optimizer"]["param_groups"][0].update(params=["x"]),
    "an optimiser's memory is text": edit_state(lambda state: state.__setitem__("exp_avg", "x")),
    "an optimiser's memory is missing": edit_state(lambda state: state.pop("exp_avg_sq")),
    "an optimiser's memory has another shape": edit_state(lambda state: state.__setitem__("exp_avg", torch.ones(3))),
    "an optimiser's step has a shape": edit_state(lambda state: state.__setitem__("step", torch.ones(3))),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_a_field_of_the_wrong_type_is_one_error(last: Path, name: str) -> None:
    content = torch.load(last, weights_only=True)
    TAMPERED[name](content)
    del content[CHECKSUM]  # as an earlier version wrote it
    torch.save(content, last)
    with pytest.raises(PruneError) as caught:
        resume(last)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_optimiser_options_in_the_file_are_ignored(last: Path) -> None:
    content = torch.load(last, weights_only=True)
    content["optimizer"]["param_groups"][0].update(eps="x", betas=None, lr="fast")
    del content[CHECKSUM]
    torch.save(content, last)
    trainer = resume(last)
    assert trainer.progress.epoch == 3
    assert trainer.updater.optimizer.param_groups[0]["eps"] == 1e-8


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TABLE.replace("\n0,", "\nx,"), 2),
        (TABLE.replace("1.25e-05", "1.2\0"), 3),
        (TABLE.replace("1.25e-05", "1.2§"), 3),
        (TABLE.replace("\n1,", "\n3,"), 3),
        (TABLE.replace("\n1,", "\n-1,"), 3),
        (TABLE.replace(",0.5", ",0.5,7"), 3),
        (TABLE.replace(",0.5", ""), 3),
        (TABLE.replace("epoch", "e"), 2),
        (TABLE.replace("1.5,", '1.5,"'), 2),
        ("\x93NUMPY\0\0\0\n\0\n", 2),
    ],
)
def test_a_damaged_table_of_results_is_one_line(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(DataError, match=r"results\.csv:\d+: is damaged .*; restore the file, or remove it") as caught:
        resume_results(tmp_path / "results.csv", 2)
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


def test_missing_lines_are_reported_and_later_ones_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "results.csv").write_text(TABLE)
    assert [row["epoch"] for row in resume_results(tmp_path / "results.csv", 1).rows] == ["0"]
    assert caplog.text == ""
    assert len(resume_results(tmp_path / "results.csv", 4).rows) == 2
    assert "has no lines for epochs 2 to 3" in caplog.text


def history(path: Path) -> bytes:
    made = GammaHistory(path)
    for epoch in range(3):
        made.append(epoch, np.linspace(0, 1, 50))
    return path.read_bytes()


def test_a_damaged_history_is_one_line_or_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "h.npz"
    data, noticed = history(path), 0
    whole = resume_history(path, 3)
    for content in flipped(data, 200):
        path.write_bytes(content)
        try:
            assert same_history(resume_history(path, 3), whole)
        except DataError:
            noticed += 1
    assert noticed > 100


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04broken", np.zeros(3).tobytes(), b"\x80\x04N."])
def test_a_file_of_another_kind_is_not_a_history(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "h.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"h\.npz: is damaged; restore the file, or remove it"):
        resume_history(tmp_path / "h.npz", 3)


def same_history(a: GammaHistory, b: GammaHistory) -> bool:
    assert a.edges is not None
    assert b.edges is not None
    rows = a.rows.keys() == b.rows.keys() and all(np.array_equal(row, b.rows[epoch]) for epoch, row in a.rows.items())
    return rows and np.array_equal(a.edges, b.edges)


@pytest.mark.parametrize(
    "arrays",
    [
        {"epochs": np.arange(3)},
        {"epochs": np.arange(2), "edges": np.linspace(0, 1, 101), "counts": np.zeros((3, 100), np.int64)},
        {"epochs": np.arange(3.0), "edges": np.linspace(0, 1, 101), "counts": np.zeros((3, 100), np.int64)},
        {"epochs": np.arange(3), "edges": np.zeros(101), "counts": np.zeros((3, 100), np.int64)},
        {"epochs": np.arange(3), "edges": np.linspace(0, 1, 5), "counts": np.zeros((3, 4), np.int64)},
        {"epochs": np.arange(3), "edges": np.array(["x"] * 101), "counts": np.full((3, 100), "y")},
    ],
)
def test_other_arrays_are_not_a_history(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "h.npz", **arrays)
    with pytest.raises(DataError, match=r"h\.npz: is damaged"):
        resume_history(tmp_path / "h.npz", 3)


def test_a_checkpoint_contains_the_metrics_of_the_last_epoch(tmp_path: Path) -> None:
    scores = iter([0.2, 0.7, 0.5, 0.6])
    trainer = toy_trainer(toy_model(), tmp_path, validate=lambda model: {"ap50": next(scores)})
    trainer.fit()
    kept: Checkpoint = read_checkpoint(tmp_path / "last.pt")
    assert (kept.last, kept.best) == ({"ap50": 0.6}, {"epoch": 1.0, "ap50": 0.7})
    assert "resume" not in kept.settings
    again = toy_trainer(toy_model())
    again.resume(replace(kept, settings={}))
    assert again.progress.last == {"ap50": 0.6}
