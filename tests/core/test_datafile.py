"""`.data` descriptors and `.names` lists."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from prune.darknet.datafile import DataFile, read_datafile, read_names
from prune.darknet.netdef import read_netdef
from prune.errors import CfgError, DataError
from prune.files.reading import read_json


def write(folder: Path, data: str, names: str = "cat\ndog\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "set.names").write_text(names)
    (folder / "train.txt").write_text("a.jpg\n")
    path = folder / "set.data"
    path.write_text(data)
    return path


def read(folder: Path, data: str, names: str = "cat\ndog\n") -> DataFile:
    return read_datafile(write(folder, data, names))


def test_keys_comments_blanks_and_line_ends_are_read(tmp_path: Path) -> None:
    text = "\ufeff# a set\r\n\r\n classes=2\r\n; more\r\ntrain =train.txt\r\nnames = set.names\r\neval=coco\r\n"
    data = read(tmp_path, text)
    assert (data.classes, data.names, data.eval) == (2, ("cat", "dog"), "coco")
    assert data.train == tmp_path / "train.txt"
    assert data.valid is None
    assert data.line_of("train") == 5


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"cat\ndog\ncat\n", r"set\.names:3: 'cat' is also on line 1"),
        ("cat\n狗\n".encode("gbk"), r"set\.names:2: .*UTF-8"),
    ],
)
def test_names_are_given_once_and_in_utf8(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "set.names").write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_names(tmp_path / "set.names")


def test_a_json_in_place_of_a_descriptor_is_one_short_line(tmp_path: Path) -> None:
    (tmp_path / "set.data").write_text(json.dumps({"images": list(range(9999))}))
    with pytest.raises(DataError, match=r"set\.data:1: .* give a \.data file that names this one") as caught:
        read_datafile(tmp_path / "set.data")
    assert len(str(caught.value)) < 300


def test_the_first_of_duplicate_keys_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = read(tmp_path, "classes=2\nclasses=7\nnames=set.names\n")
    assert data.classes == 2
    assert "set.data:2" in caplog.text


def test_an_unknown_key_is_ignored_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, "classes=2\nnames=set.names\nvalld=x\n")
    assert "'valld'" in caplog.text


def test_the_working_directory_comes_before_the_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "own", "classes=2\nnames=set.names\ntrain=train.txt\n")
    monkeypatch.chdir(tmp_path)
    assert read_datafile(path).require("train") == tmp_path / "own" / "train.txt"
    (tmp_path / "train.txt").write_text("b.jpg\n")
    assert read_datafile(path).require("train") == Path("train.txt")


def test_a_path_that_leads_nowhere_only_matters_when_it_is_needed(tmp_path: Path) -> None:
    data = read(tmp_path, "classes=2\nnames=set.names\ntrain=gone.txt\n")
    with pytest.raises(DataError, match=r"set\.data:3: train: 'gone\.txt' is neither in") as caught:
        data.require("train")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no 'valid"):
        data.require("valid")


def test_names_and_classes_must_agree(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set\.data:2: classes = 3 but .*set\.names contains 2 names"):
        read(tmp_path, "names=set.names\nclasses=3\n")


@pytest.mark.parametrize("classes", ["0", "-1", "two", "2.5", "²"])
def test_classes_must_be_a_whole_number(tmp_path: Path, classes: str) -> None:
    with pytest.raises(DataError, match=r"set\.data:1: classes"):
        read(tmp_path, f"classes={classes}\nnames=set.names\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names=set.names\n", "no 'classes"),
        ("classes=2\n", "no 'names"),
        ("classes=2\nnames=no.names\n", "set.data:2: names"),
        ("classes 2\n", "set.data:1: 'classes 2' is not"),
        ("classes=\n", "set.data:1: "),
    ],
)
def test_what_is_missing_or_malformed_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_a_missing_descriptor_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.data: no such file"):
        read_datafile(tmp_path / "no.data")


def test_blank_lines_end_a_names_file_but_do_not_interrupt_it(tmp_path: Path) -> None:
    path = tmp_path / "x.names"
    path.write_text("traffic light\r\n dog \r\n\r\n\r\n")
    assert read_names(path) == ("traffic light", "dog")
    path.write_text("cat\n\ndog\n")
    with pytest.raises(DataError, match=r"x\.names:2"):
        read_names(path)
    path.write_text("\n\n")
    with pytest.raises(DataError, match="no class name"):
        read_names(path)


def test_paths_written_on_windows_are_found(tmp_path: Path) -> None:
    read(tmp_path / "d", "classes=2\nnames=set.names\n")
    path = tmp_path / "win.data"
    path.write_bytes(b"classes=2\r\nnames=d\\set.names\r\ntrain=.\\d\\train.txt\r\nvalid_images=d\\\r\n")
    data = read_datafile(path)
    assert data.names == ("cat", "dog")
    assert data.train == data.require("train") == tmp_path / "d/train.txt"
    assert data.require("valid_images") == tmp_path / "d"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"classes={5000 * '9'}\nnames=set.names\n", r"set\.data:1: classes = '9{20}…' must be a whole number"),
        ("classes=2\nnames=~nosuchuser/set.names\n", r"set\.data:2: names: '~nosuchuser/set\.names' is neither"),
        (f"classes=2\nnames={5000 * 'x'}\n", r"set\.data:2: names: 'x{200}…' is neither"),
        ("classes=2\nnames=C:\\d\\set.names\n", r"set\.data:2: names: 'C:\\d\\set\.names' is neither"),
    ],
)
def test_values_of_absurd_size_or_kind_are_one_short_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        read(tmp_path, text)
    assert len(str(caught.value)) < 600


def test_a_value_that_no_file_can_have_only_matters_when_it_is_needed(tmp_path: Path) -> None:
    data = read(tmp_path, f"classes=2\nnames=set.names\ntrain=~nosuchuser/a.txt\nvalid={5000 * 'x'}\n")
    for split in ("train", "valid"):
        with pytest.raises(DataError, match=f"{split}: "):
            data.require(split)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"
DISGUISES = [
    ("cat\ndog\n".encode("utf-16"), "is UTF-16 text, save it as UTF-8"),
    ("cat\ndog\n".encode("utf-16-be"), "is UTF-16 text, save it as UTF-8"),
    ("猫\n狗\n".encode("utf-16-le"), "contains NUL bytes: it is binary, or UTF-16 text; save it as UTF-8"),
    (LFS, r"is a pointer of Git LFS \(run 'git lfs pull'\)"),
    (b"<!DOCTYPE html>\n<html>", "is a web page"),
    (b"\x1f\x8b\x08\0", "is a gzip archive, unpack it"),
    (b"cat\0\1\2\n", "contains NUL bytes"),
]


@pytest.mark.parametrize(("content", "problem"), DISGUISES)
def test_what_is_not_text_is_named_in_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    path = write(tmp_path, "classes=2\nnames=set.names\n")
    (tmp_path / "set.names").write_bytes(content)
    with pytest.raises(DataError, match=rf"set\.names: {problem}"):
        read_datafile(path)
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"set\.data: {problem}"):
        read_datafile(path)
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.json: {problem}"):
        read_json(tmp_path / "a.json")


def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path, "classes=2\nnames=pipe\n")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: is a pipe or a device, not a file; give a file"):
        read_datafile(path)
    with pytest.raises(DataError, match="zero: is a pipe or a device"):
        read_json("/dev/zero")
    with pytest.raises(CfgError, match="pipe: is a pipe or a device"):
        read_netdef(tmp_path / "pipe")


def test_a_hundred_thousand_names_are_read_quickly(tmp_path: Path) -> None:
    (tmp_path / "set.names").write_text("".join(f"n{number}\n" for number in range(100_000)) + "n5\n")
    started = time.process_time()
    with pytest.raises(DataError, match=r"set\.names:100001: 'n5' is also on line 6"):
        read_names(tmp_path / "set.names")
    assert time.process_time() - started < 5
