"""The table of `benchmarks.zoo`: the row of a good cfg, of a bad one, and its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import zoo_checks
from benchmarks.places import find_cfgs
from benchmarks.zoo_checks import check_cfg
from benchmarks.zoo_row import Blocks, Cut, Row
from benchmarks.zoo_table import format_table
from prune.errors import VerificationError
from prune.surgery.apply import Pruned
from tests.shared import REPOSITORY


@pytest.fixture(scope="module")
def toy() -> Row:
    return check_cfg(REPOSITORY / "cfg" / "toy.cfg", "cfg/toy.cfg")


def test_every_check_of_the_toy_is_green(toy: Row) -> None:
    assert toy.faults == []
    assert toy.round_trip
    assert toy.parity is not None
    assert toy.parity <= 1e-4
    assert 0.9 < toy.prunable < toy.unprotected <= 1
    assert [(cut.percent, cut.tie) for cut in toy.cuts] == [
        (percent, tie) for percent in (0.3, 0.6, 0.85) for tie in ("union", "first", "freeze")
    ]
    assert all(0 < cut.real < 1 and cut.equivalence <= 1e-9 and cut.reread <= 1e-4 for cut in toy.cuts)
    assert toy.blocks.removable == toy.blocks.found == 1
    assert toy.blocks.layers_removed >= 2


def test_a_bad_cfg_is_a_red_row_that_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.cfg"
    file.write_text("[net]\n[crnn]\n")
    row = check_cfg(file, "bad.cfg")
    assert not row.green
    assert row.faults[0].startswith("bad.cfg:2: [crnn]")
    assert "bad.cfg:2: [crnn]" in format_table([row], "command")


def test_a_fault_of_one_cut_is_red_and_the_others_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[Pruned]()

    def failing_once(pruned: Pruned) -> float:
        calls.append(pruned)
        if len(calls) == 2:
            raise VerificationError("equivalence check: head 0 deviates")
        return 0.0

    monkeypatch.setattr(zoo_checks, "check_equivalence", failing_once)
    row = check_cfg(REPOSITORY / "cfg" / "toy.cfg", "toy.cfg")
    assert row.faults == ["equivalence check: head 0 deviates"]
    assert [bool(cut.fault) for cut in row.cuts].count(True) == 1
    assert not row.blocks.fault


def test_the_table_has_a_row_for_each_cfg_and_states_why_something_is_red(toy: Row) -> None:
    red = Row("red.cfg", layers=3, parameters=5_000_000, round_trip=True, parity=0.5)
    red.cuts = [Cut(0.3, "union", fault="red.cfg: no channel may be cut"), Cut(0.3, "first", real=0.25)]
    red.blocks = Blocks(found=2, removable=1, layers_removed=4, kept={"the skip has another shape": 1})
    text = format_table([toy, red], "python -m benchmarks.zoo")
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert [line.split("|")[2].strip() for line in lines] == ["✓", "✗"]
    assert "| 3 layers, 5.0 M | ✓ | 5e-01 |" in lines[1]
    assert "| ✗ / 25 |" in lines[1]
    assert "| 1 / 2, 4 layers |" in lines[1]
    assert "**red.cfg: no channel may be cut**; **parity 5.0e-01**" in text
    assert "1 block must be kept: the skip has another shape" in text
    assert "2 cfgs, 1 of them green" in text


def test_names_contain_the_folder_but_no_absolute_path(tmp_path: Path) -> None:
    folder = tmp_path / "nets" / "deep"
    folder.mkdir(parents=True)
    for file in (folder.parent / "a.cfg", folder / "b.cfg", folder / "notes.txt"):
        file.touch()
    names = [name for _, name in find_cfgs([tmp_path / "nets", folder / "b.cfg"])]
    assert names == ["nets/a.cfg", "nets/deep/b.cfg", "deep/b.cfg"]
