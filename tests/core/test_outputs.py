"""What no command may do to files: replace those of others, mix two runs, leave temporary files."""

from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prune import adapt
from prune.check import main as check_main
from prune.cli import RunArgs, exit_code, open_command
from prune.cli.command import Command
from prune.cli.lock import FolderLock
from prune.errors import UsageError
from prune.files.temporary import LONGEST_NAME, remove_leftovers
from prune.files.writing import atomic_file, atomic_write
from tests.datasets import write_descriptor, write_noise
from tests.shared import REPOSITORY

FOREIGN = {
    "train.txt": "a.png\n",
    "set.names": "cat\n",
    "labels.txt": "",
    "other.json": '{"command": "mine", "results": []}',
    "list.json": "[1, 2]",
    "picture.png": "\x89PNG",
}


def opened(out: Path | None, *, overwrite: bool = False, json_file: Path | None = None) -> Command:
    run = RunArgs(out=out, overwrite=overwrite, json=str(json_file) if json_file else None)
    return open_command(_namespace(), run, inputs=[], outputs=("pruned.cfg",))


def _namespace() -> argparse.Namespace:

    return argparse.Namespace()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_noise(tmp_path / "a.png", 0)
    (tmp_path / "a.txt").write_text("0 .5 .5 .2 .2\n")
    (tmp_path / "train.txt").write_text("a.png\n")
    return write_descriptor(tmp_path, ["train = train.txt"], names=("cat",)).path


def run_check(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["check.py", *map(str, arguments), "--anchors", "0", "--quiet"])
    return exit_code(check_main)


class TestForeignFiles:
    @pytest.mark.parametrize("name", FOREIGN)
    def test_json_replaces_nothing_but_a_summary(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text(FOREIGN[name])
        with pytest.raises(UsageError, match=rf"{name} exists and is not a summary"):
            opened(None, json_file=tmp_path / name)
        assert (tmp_path / name).read_text() == FOREIGN[name]

    def test_json_replaces_an_earlier_summary_also_through_a_link(self, tmp_path: Path) -> None:
        opened(None, json_file=tmp_path / "s.json").finish({"layers": 1})
        (tmp_path / "link.json").symlink_to("s.json")
        opened(None, json_file=tmp_path / "link.json").finish({"layers": 2})
        assert json.loads((tmp_path / "s.json").read_text())["layers"] == 2
        assert (tmp_path / "link.json").is_symlink()

    def test_a_file_that_appears_at_the_place_of_json_during_the_run_is_kept(self, tmp_path: Path) -> None:
        command = opened(None, json_file=tmp_path / "s.json")
        (tmp_path / "s.json").write_text("mine")
        with pytest.raises(UsageError, match="is not a summary"):
            command.finish({})
        assert (tmp_path / "s.json").read_text() == "mine"

    def test_json_of_a_check_spares_the_labels_that_it_reads(
        self, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = (data.parent / "a.txt").read_bytes()
        assert run_check(monkeypatch, data, "--json", data.parent / "a.txt") == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert (data.parent / "a.txt").read_bytes() == before

    @pytest.mark.parametrize("name", ["a.txt", "train.txt", "a.png", "set.names", "own.html"])
    def test_a_page_replaces_nothing_but_a_page(
        self, data: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (data.parent / "own.html").write_text("<html><head></head><body>darknet-prune</body></html>")
        before = (data.parent / name).read_bytes()
        assert run_check(monkeypatch, data, "--html", data.parent / name, "--overwrite") == 2
        assert "is not a page" in capsys.readouterr().err
        assert (data.parent / name).read_bytes() == before

    def test_a_page_of_ours_is_replaced_if_requested(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        page = data.parent / "page.html"
        assert run_check(monkeypatch, data, "--html", page) == 0
        assert run_check(monkeypatch, data, "--html", page) == 2
        assert run_check(monkeypatch, data, "--html", page, "--overwrite") == 0


class TestDanglingLinks:
    def link(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(path.parent / "unmounted" / path.name)
        return path

    def test_an_output_that_is_one_exists(self, tmp_path: Path) -> None:
        self.link(tmp_path / "out/pruned.cfg")
        with pytest.raises(UsageError, match=r"pruned\.cfg exists already"):
            opened(tmp_path / "out")
        assert (tmp_path / "out/pruned.cfg").is_symlink()
        assert opened(tmp_path / "out", overwrite=True).out == tmp_path / "out"

    def test_json_and_adapt_do_not_replace_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UsageError, match="is not a summary"):
            opened(None, json_file=self.link(tmp_path / "s.json"))
        cfg = str(REPOSITORY / "cfg/yolov3-tiny.cfg")
        link = self.link(tmp_path / "new.cfg")
        monkeypatch.setattr(sys, "argv", ["adapt.py", cfg, "--classes", "2", "--out", str(link)])
        assert exit_code(adapt.main) == 2
        assert link.is_symlink()

    def test_an_out_folder_that_is_one_is_refused_at_once(self, tmp_path: Path) -> None:
        link = self.link(tmp_path / "out")
        with pytest.raises(FileExistsError):
            opened(link)
        assert link.is_symlink()


class TestTwoRuns:
    def test_the_second_into_one_folder_is_refused_until_the_first_has_ended(self, tmp_path: Path) -> None:
        first = opened(tmp_path / "out")
        with pytest.raises(UsageError, match="another run is writing into this folder"):
            opened(tmp_path / "out", overwrite=True)
        first.path("pruned.cfg").write_text("x")
        first.finish({})
        opened(tmp_path / "out", overwrite=True).finish({})

    def test_a_usage_error_leaves_no_empty_folder(self, tmp_path: Path) -> None:
        def main() -> int:
            opened(tmp_path / "deep/out")
            raise UsageError("a mistake that is found later")

        assert exit_code(main) == 2
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_existed_before_is_kept(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        FolderLock(tmp_path / "out").release()
        assert (tmp_path / "out").is_dir()

    def test_a_process_that_does_not_write_takes_no_lock(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = opened(tmp_path / "out")
        monkeypatch.setenv("RANK", "1")
        assert opened(tmp_path / "out").lock is None
        assert first.lock is not None

    def test_a_forked_process_does_not_keep_the_lock(self, tmp_path: Path) -> None:
        lock = FolderLock(tmp_path / "out")
        ready, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ready)
            os.close(write)  # the parent's read ends: it knows that this process runs
            time.sleep(60)
            os._exit(0)
        os.close(write)
        try:
            os.read(ready, 1)
            (tmp_path / "out/x").touch()
            with pytest.raises(UsageError, match="another run"):
                FolderLock(tmp_path / "out")
            lock.release()
            FolderLock(tmp_path / "out").release()  # raises where the child still holds the lock
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(ready)

    def test_a_lock_ends_with_its_process(self, tmp_path: Path) -> None:
        code = f"from prune.cli.lock import FolderLock; held = FolderLock(Path({str(tmp_path)!r}))"
        with writer(code), pytest.raises(UsageError, match="another run"):
            FolderLock(tmp_path)
        FolderLock(tmp_path).release()


@contextmanager
def writer(code: str) -> Iterator[None]:
    """A process that has done `code` and waits; it is killed at the end."""
    script = f"import time; from pathlib import Path\n{code}\nprint('ready', flush=True)\ntime.sleep(60)\n"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


class TestLeftovers:
    def test_those_of_a_killed_process_are_removed_and_those_of_a_living_one_kept(self, tmp_path: Path) -> None:
        target = tmp_path / "pruned.cfg"
        code = f"from prune.files.temporary import open_temporary; held = open_temporary(Path({str(target)!r}))"
        with writer(code):
            remove_leftovers([target])
            assert len(list(tmp_path.iterdir())) == 1
        opened(tmp_path, overwrite=True)
        assert list(tmp_path.iterdir()) == []

    def test_nothing_that_is_not_recognisably_ours_is_removed(self, tmp_path: Path) -> None:
        names = [".pruned.cfg.original", ".pruned.cfg.abcdefgh", ".pruned.cfg.x.prune", ".pruned.cfg.ABCDEFGH.prune",
                 ".mine.cfg.abcdefgh.prune", "pruned.cfg.abcdefgh.prune", ".pruned.cfg.prune"]  # fmt: skip
        for name in names:
            (tmp_path / name).write_text("mine")
        (tmp_path / ".pruned.cfg.aaaaaaaa.prune").symlink_to(tmp_path / names[0])
        (tmp_path / ".pruned.cfg.bbbbbbbb.prune").mkdir()
        before = {path.name for path in tmp_path.iterdir()}
        opened(tmp_path, overwrite=True)
        assert {path.name for path in tmp_path.iterdir()} == before
        assert (tmp_path / names[0]).read_text() == "mine"

    def test_those_beside_json_and_below_an_output_folder_are_removed_too(self, tmp_path: Path) -> None:
        (tmp_path / "out/pruned.cfg/cat").mkdir(parents=True)
        left = [tmp_path / ".s.json.abcdefgh.prune", tmp_path / "out/pruned.cfg/cat/.a_001.jpg.abcdefgh.prune"]
        for path in left:
            path.write_text("half")
        opened(tmp_path / "out", overwrite=True, json_file=tmp_path / "s.json")
        assert not any(path.exists() for path in left)

    def test_a_name_of_the_maximum_length_is_written(self, tmp_path: Path) -> None:
        name = "ü" * (LONGEST_NAME // 2)
        atomic_write(tmp_path / name, "x")
        assert [path.name for path in tmp_path.iterdir()] == [name]


class TestFullDisk:
    @pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
    def test_the_error_names_the_file_that_was_to_be_written(
        self, tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def full(*paths: object) -> None:
            raise OSError(
                errno.ENOSPC, "No space left on device", *[str(path) for path in paths if call != "fsync"][:1]
            )

        monkeypatch.setattr(f"prune.files.reading.os.{call}", full)
        assert exit_code(lambda: atomic_write(tmp_path / "last.weights", b"x")) == 1
        assert capsys.readouterr().err == f"error: {tmp_path}/last.weights: No space left on device\n"
        assert list(tmp_path.iterdir()) == []

    def test_no_space_for_a_temporary_file_is_reported_for_its_target(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def full(path: str, *_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device", path)

        monkeypatch.setattr("tempfile._os.open", full)
        assert exit_code(lambda: atomic_write(tmp_path / "a.cfg", b"x")) == 1
        assert capsys.readouterr().err == f"error: {tmp_path}/a.cfg: No space left on device\n"

    def test_an_error_of_another_file_keeps_its_name(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError) as caught, atomic_file(tmp_path / "a.cfg"):
            (tmp_path / "absent.txt").read_bytes()
        assert caught.value.filename == str(tmp_path / "absent.txt")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    def test_a_full_standard_output_is_one_line(self) -> None:
        with open("/dev/full", "w") as full:
            command = [sys.executable, "-m", "prune.explain", "cfg/yolov3-tiny.cfg"]
            done = subprocess.run(command, cwd=REPOSITORY, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")

    @pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="cannot mount a small file system")
    def test_a_file_system_that_is_really_full(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
        try:
            atomic_write(tmp_path / "a.weights", b"small")
            assert exit_code(lambda: atomic_write(tmp_path / "a.weights", bytes(200_000))) == 1
            assert capsys.readouterr().err == f"error: {tmp_path}/a.weights: No space left on device\n"
            assert (tmp_path / "a.weights").read_bytes() == b"small"
            assert [path.name for path in tmp_path.iterdir()] == ["a.weights"]
        finally:
            subprocess.run(["umount", str(tmp_path)], check=True)
