"""`prune.convert` and foreign folders: it never removes anything that it has not written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prune.cli import exit_code
from prune.convert import main
from prune.data import staging as staging_module
from prune.data.staging import check_free, staged_folder
from prune.errors import UsageError
from tests.datasets import Picture, Thing, write_coco, write_noise


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A conversion with copied and a linked image."""
    (tmp_path / "in").mkdir()
    write_coco(tmp_path / "in", [Picture("a.png", (20, 10), [Thing(0, (0, 0, 4, 4))]), Picture("b.png", (20, 10))])
    assert convert(monkeypatch, tmp_path / "out") == 0
    return tmp_path / "out"


def convert(monkeypatch: pytest.MonkeyPatch, out: Path, *more: str) -> int:
    data = out.parent / "in/set.data"
    monkeypatch.setattr(sys, "argv", ["convert.py", str(data), "--to", "coco", "--out", str(out), "--quiet", *more])
    return exit_code(main)


def content(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_the_summary_lists_every_file_that_was_written(out: Path) -> None:
    listed = json.loads((out / "summary.json").read_text())["files"]
    assert {*listed, "summary.json"} == content(out).keys()
    assert listed["train/a.png"] == f"-> {out.parent}/in/pics/a.png"


@pytest.mark.parametrize("images", ["link", "copy"])
def test_an_untouched_conversion_is_replaced(out: Path, monkeypatch: pytest.MonkeyPatch, images: str) -> None:
    assert convert(monkeypatch, out, "--overwrite", "--images", images) == 0
    assert convert(monkeypatch, out, "--overwrite", "--classes", "cat") == 0
    assert [path.name for path in sorted(out.parent.iterdir())] == ["in", "out"]


def add_a_file(out: Path) -> str:
    (out / "train/notes.txt").write_text("mine")
    return "train/notes.txt"


def add_a_label(out: Path) -> str:
    (out / "annotations/own.json").write_text("[]")
    return "annotations/own.json"


def add_a_hidden_file(out: Path) -> str:
    (out / ".git").write_text("gitdir: elsewhere")
    return ".git"


def add_a_folder(out: Path) -> str:
    (out / "weights").mkdir()
    return "weights"


def add_a_link(out: Path) -> str:
    (out / "photos").symlink_to(out.parent)
    return "photos"


def edit_a_file(out: Path) -> str:
    path = out / "annotations/instances_train.json"
    path.write_text(path.read_text() + " ")
    return "annotations/instances_train.json"


def replace_a_link(out: Path) -> str:
    (out / "train/a.png").unlink()
    write_noise(out / "train/a.png", 3)
    return "train/a.png"


def turn_a_link(out: Path) -> str:
    (out / "train/a.png").unlink()
    (out / "train/a.png").symlink_to(out.parent / "elsewhere.png")
    return "train/a.png"


@pytest.mark.parametrize(
    "change",
    [
        add_a_file,
        add_a_label,
        add_a_hidden_file,
        add_a_folder,
        add_a_link,
        edit_a_file,
        replace_a_link,
        turn_a_link,
    ],
)
def test_a_foreign_file_is_named_and_nothing_is_removed(
    out: Path, change: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = change(out)
    before = content(out)
    assert convert(monkeypatch, out, "--overwrite") == 2
    error = capsys.readouterr().err
    assert f"{out / name}: is not as convert.py wrote it" in error
    assert error.count("\n") == 1
    assert content(out) == before


def test_a_conversion_without_a_list_of_files_is_not_replaced(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = json.loads((out / "summary.json").read_text())
    del summary["files"]
    (out / "summary.json").write_text(json.dumps(summary))
    before = content(out)
    assert convert(monkeypatch, out, "--overwrite") == 2
    assert content(out) == before


def make(target: Path, meanwhile: Callable[[Path], object], overwrite: bool = False) -> None:
    """A folder at `target`, while another process changes it."""
    with staged_folder(target, overwrite) as folder:
        (folder / "new").write_text("new")
        meanwhile(target)


def test_a_file_that_appears_while_the_command_runs_is_kept(out: Path) -> None:
    with pytest.raises(UsageError, match=r"notes\.txt: has appeared or changed while this command ran"):
        make(out, add_a_file, overwrite=True)
    assert (out / "train/notes.txt").read_text() == "mine"
    assert (out / "set.data").is_file()
    assert [path.name for path in sorted(out.parent.iterdir())] == ["in", "out"]


def put_folder(target: Path) -> None:
    target.mkdir()
    (target / "precious").write_text("mine")


def put_file(target: Path) -> None:
    target.write_text("mine")


def put_link(target: Path) -> None:
    target.symlink_to(target.parent / "unmounted")


@pytest.mark.parametrize("put", [put_folder, put_file, put_link])
def test_what_appears_at_the_target_while_the_command_runs_is_kept(
    tmp_path: Path, put: Callable[[Path], object]
) -> None:
    with pytest.raises(UsageError, match="out: appeared while this command ran"):
        make(tmp_path / "out", put)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    put(tmp_path / "other")
    assert content(tmp_path / "out") == content(tmp_path / "other")


def test_the_second_of_two_runs_into_one_folder_is_refused(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with staged_folder(out.with_name("both")) as first:
        (first / "x").write_text("x")
        assert convert(monkeypatch, out.with_name("both")) == 2
    assert content(out.with_name("both")) == {"x": b"x"}


def test_a_dangling_link_is_an_existing_target(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = out.with_name("link")
    link.symlink_to(out.parent / "unmounted/disk")
    for flags in ([], ["--overwrite"]):
        assert convert(monkeypatch, link, *flags) == 2
    assert link.is_symlink()
    assert not (out.parent / "unmounted").exists()


class TestKilled:
    """The files after a kill at each step of the exchange."""

    def test_while_the_new_folder_was_made(self, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        target = out.with_name("next")
        half = target.with_name(".next.prune") / "new/train"
        half.mkdir(parents=True)
        (half / "a.png").symlink_to(out.parent / "in/pics/a.png")
        assert convert(monkeypatch, target) == 0
        assert content(target).keys() == content(out).keys()
        assert (out.parent / "in/pics/a.png").is_file()
        assert not target.with_name(".next.prune").exists()

    def test_when_the_old_folder_had_been_moved_away(self, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = content(out)
        (out.parent / ".out.prune/new").mkdir(parents=True)
        out.rename(out.parent / ".out.prune/old")
        assert convert(monkeypatch, out) == 2, "it is restored, and must not be overwritten"
        assert content(out) == before
        assert not (out.parent / ".out.prune").exists()

    def test_when_the_old_folder_was_not_removed_yet(self, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        old = out.parent / ".out.prune/old"
        old.parent.mkdir()
        out.rename(old)
        (old / "set.names").unlink()
        assert convert(monkeypatch, out.with_name("b")) == 0
        out.with_name("b").rename(out)
        with pytest.raises(UsageError, match="exists already"):
            check_free(out, "convert.py", overwrite=False)
        assert not old.parent.exists()

    def test_a_foreign_file_in_the_old_folder_is_named(self, out: Path) -> None:
        old = out.parent / ".out.prune/old"
        old.mkdir(parents=True)
        (old / "notes.txt").write_text("mine")
        with pytest.raises(UsageError, match=r"\.out\.prune/old: contains files of an earlier folder"):
            check_free(out, "convert.py", overwrite=True)
        assert (old / "notes.txt").read_text() == "mine"

    def test_a_foreign_staging_folder_is_named(self, tmp_path: Path) -> None:
        (tmp_path / ".out.prune").mkdir()
        (tmp_path / ".out.prune/mine").write_text("mine")
        with pytest.raises(UsageError, match="is in the way"), staged_folder(tmp_path / "out"):
            pass
        assert (tmp_path / ".out.prune/mine").read_text() == "mine"


def test_a_full_disk_names_the_file_that_was_to_be_made(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prune.data.target._copy", full)
    assert convert(monkeypatch, out.with_name("full"), "--images", "copy") == 1
    assert capsys.readouterr().err == f"error: {out.parent}/full/train/a.png: No space left on device\n"
    assert not out.with_name("full").exists()
    assert staging_module.SUFFIX not in "".join(path.name for path in out.parent.iterdir())
