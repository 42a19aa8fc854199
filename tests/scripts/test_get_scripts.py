"""The scripts that fetch COCO and VOC, with tiny archives at file:// addresses."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.shared import REPOSITORY

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("curl") is None, reason="the scripts need bash and curl"
)


def _zip(path: Path, members: Iterable[str]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, f"content of {member}\n" * 20)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _voc_tar(path: Path, scratch: Path, year: str, image_set: str, names: list[str]) -> str:
    root = scratch / path.name / "VOCdevkit" / year
    for name in names:
        for file in (root / "JPEGImages" / f"{name}.jpg", root / "Annotations" / f"{name}.xml"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
    listed = root / "ImageSets" / "Main" / f"{image_set}.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("\n".join(names) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        archive.add(root.parents[0], arcname="VOCdevkit")
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Checkout:
    """A copy of `data/` with its scripts, and a folder that plays the server."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.server = folder / "server"
        self.data.mkdir()
        for pattern in ("*.sh", "*.data", "*.names"):
            for file in (REPOSITORY / "data").glob(pattern):
                shutil.copy(file, self.data)

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(self.data / script), *arguments]
        return subprocess.run(
            command, env={**os.environ, **environment}, cwd="/", capture_output=True, text=True, check=False
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def _serve_coco(checkout: Checkout) -> dict[str, str]:
    server = checkout.server
    instances = [f"annotations/instances_{split}2017.json" for split in ("train", "val")]
    return {
        "COCO_URL": server.as_uri(),
        "COCO_SHA256_ANNOTATIONS": _zip(server / "annotations" / "annotations_trainval2017.zip", instances),
        "COCO_SHA256_TRAIN": _zip(server / "zips" / "train2017.zip", ["train2017/a.jpg"]),
        "COCO_SHA256_VAL": _zip(server / "zips" / "val2017.zip", ["val2017/b.jpg"]),
    }


def test_coco_is_fetched_unpacked_and_complete(checkout: Checkout) -> None:
    environment = _serve_coco(checkout)
    done = checkout.run("get_coco.sh", **environment)
    assert done.returncode == 0, done.stderr
    assert (checkout.data / "coco" / "train2017" / "a.jpg").is_file()
    assert (checkout.data / "coco" / "annotations" / "instances_val2017.json").is_file()
    assert not (checkout.data / "coco" / "archives").exists()
    shutil.rmtree(checkout.server)
    assert checkout.run("get_coco.sh", **environment).returncode == 0, "the second run needs no server"


@pytest.mark.parametrize("script", ["get_coco.sh", "get_voc.sh"])
def test_help_fetches_nothing_and_other_words_are_refused(checkout: Checkout, script: str) -> None:
    nowhere = {"COCO_URL": "http://127.0.0.1:9", "VOC_URL": "http://127.0.0.1:9"}
    shown = checkout.run(script, "--help", **nowhere)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"bash data/{script} [--keep]" in shown.stdout
    refused = checkout.run(script, "--force", **nowhere)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)


def test_an_interrupted_download_is_resumed(checkout: Checkout) -> None:
    environment = _serve_coco(checkout)
    archives = checkout.data / "coco" / "archives"
    archives.mkdir(parents=True)
    served = checkout.server / "zips" / "val2017.zip"
    (archives / "val2017.zip.part").write_bytes(served.read_bytes()[:100])
    shutil.copy(checkout.server / "zips" / "train2017.zip", archives / "train2017.zip.part")
    done = checkout.run("get_coco.sh", **environment)
    assert done.returncode == 0, done.stderr
    assert (checkout.data / "coco" / "val2017" / "b.jpg").is_file()


def test_an_archive_with_another_sum_is_removed_and_reported(checkout: Checkout) -> None:
    done = checkout.run("get_coco.sh", **{**_serve_coco(checkout), "COCO_SHA256_VAL": "0" * 64})
    assert done.returncode == 1
    assert "val2017.zip is not what it should be" in done.stderr
    assert not (checkout.data / "coco" / "archives" / "val2017.zip.part").exists()
    assert not (checkout.data / "coco" / "val2017").exists()


def test_a_complete_but_wrong_part_is_not_kept_forever(checkout: Checkout) -> None:
    environment = _serve_coco(checkout)
    part = checkout.data / "coco/archives/val2017.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (checkout.server / "zips/val2017.zip").stat().st_size)
    handler = partial(_Ranges, directory=str(checkout.server))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment["COCO_URL"] = f"http://127.0.0.1:{server.server_port}"
        first = checkout.run("get_coco.sh", **environment)
        assert first.returncode == 1
        assert "run the same command again" in first.stderr
        assert not part.exists()
        second = checkout.run("get_coco.sh", **environment)
        assert second.returncode == 0, second.stderr
        server.shutdown()


class _Ranges(SimpleHTTPRequestHandler):
    """Serves files; a range that begins after the end is refused, as servers do."""

    def do_GET(self) -> None:
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        size = Path(self.translate_path(self.path)).stat().st_size
        if begin >= size:
            self.send_error(416)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_voc_joins_both_years_into_one_folder(checkout: Checkout, tmp_path: Path) -> None:
    server = checkout.server
    train07, test07 = (
        server / "voc2007/VOCtrainval_06-Nov-2007.tar",
        server / "voc2007/VOCtest_06-Nov-2007.tar",
    )
    train12 = server / "voc2012/VOCtrainval_11-May-2012.tar"
    environment = {
        "VOC_URL": server.as_uri(),
        "VOC_SHA256_TRAINVAL2007": _voc_tar(train07, tmp_path, "VOC2007", "trainval", ["000001", "000003"]),
        "VOC_SHA256_TEST2007": _voc_tar(test07, tmp_path, "VOC2007", "test", ["000002"]),
        "VOC_SHA256_TRAINVAL2012": _voc_tar(train12, tmp_path, "VOC2012", "trainval", ["2008_000001"]),
    }
    done = checkout.run("get_voc.sh", **environment)
    assert done.returncode == 0, done.stderr
    voc = checkout.data / "voc"
    names = ["000001", "000002", "000003", "2008_000001"]
    assert sorted(path.stem for path in (voc / "JPEGImages").iterdir()) == names
    assert sorted(path.stem for path in (voc / "Annotations").iterdir()) == names
    assert (voc / "ImageSets/Main/trainval0712.txt").read_text().split() == [
        "000001",
        "000003",
        "2008_000001",
    ]
    assert (voc / "ImageSets/Main/test2007.txt").read_text().split() == ["000002"]
    shutil.rmtree(server)
    assert checkout.run("get_voc.sh", **environment).returncode == 0, "the second run needs no server"
