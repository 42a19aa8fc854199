"""The example of docs/library.md, run as it stands."""

from __future__ import annotations

import doctest
import shutil
from pathlib import Path

import pytest

from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from tests.shared import REPOSITORY


def test_the_example_of_the_library_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cfg").mkdir()
    shutil.copy(REPOSITORY / "cfg/toy.cfg", tmp_path / "cfg")
    monkeypatch.chdir(tmp_path)
    done = doctest.testfile(str(REPOSITORY / "docs/library.md"), module_relative=False, encoding="utf-8")
    assert done.failed == 0
    assert done.attempted >= 16
    pruned = read_netdef("pruned.cfg")
    assert read_weights("pruned.weights", pruned).records.keys() == {layer.index for layer in pruned.owners}
