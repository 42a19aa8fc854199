from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import cv2
import numpy as np
import pytest

from prune.files.impostors import HEAD, disguise, impostor_message

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 248007048\n"


def picture(suffix: str) -> bytes:
    return cv2.imencode(suffix, np.zeros((4, 4, 3), np.uint8))[1].tobytes()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "x")
    return buffer.getvalue()


def checkpoint() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", "x")
    return buffer.getvalue()


def tape() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("yolo.weights"))
    return buffer.getvalue()


SHOWN = {
    "a web page": [
        b"<!DOCTYPE html><html>",
        b"\xef\xbb\xbf\n<html lang=en>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML">',
        b"<!-- saved -->\n<HTML>",
    ],
    "a web server's error message": [b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>'],
    "a pointer of Git LFS (run 'git lfs pull')": [LFS],
    "UTF-16 text": ["[net]\n".encode("utf-16"), "classes = 2\n".encode("utf-16-le"), "a.jpg".encode("utf-16-be")],
    "UTF-32 text": ["[net]\n".encode("utf-32")],
    "a zip archive": [archive()],
    "a PyTorch checkpoint": [checkpoint()],
    "a gzip archive": [gzip.compress(b"{}")],
    "a tar archive": [tape()],
    "a PNG image": [picture(".png")],
    "a JPEG image": [picture(".jpg")],
    "a BMP image": [picture(".bmp")],
    "a HEIC or AVIF picture": [b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", b"\0\0\0\x20ftypavif\0\0\0\0"],
    "a video": [b"\0\0\0\x20ftypisom\0\0\2\0"],
}


@pytest.mark.parametrize(("name", "head"), [(name, head) for name, heads in SHOWN.items() for head in heads])
def test_the_first_bytes_show_what_a_file_is(name: str, head: bytes) -> None:
    assert disguise(head[:HEAD]) == name


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"BMW\nVolkswagen\n",
        b"version = 2\n",
        b"[net]\nwidth=416\n",
        b"images/a.jpg\n",
        b"0 0.5 0.5 0.1 0.1\n",
        b'{"images": []}',
        b"<annotation><filename>html.jpg</filename></annotation>",
        b'<?xml version="1.0"?>\n<annotation>',
        "猫\n狗\n".encode(),
        "猫\n狗\n".encode("gbk"),
        np.array([0, 2, 5, 0, 0], np.int32).tobytes() + np.linspace(-1, 1, 200, dtype=np.float32).tobytes(),
        np.array([0, 1, 0, 3200], np.int32).tobytes() + np.zeros(200, np.float32).tobytes(),
    ],
)
def test_a_file_that_is_what_it_should_be_is_not_reported_as_another(head: bytes) -> None:
    assert disguise(head) is None
    assert impostor_message(head) is None


def test_the_message_says_what_the_file_is_and_what_to_do() -> None:
    assert impostor_message(b"<html>") == "is a web page, not the file itself; download it again"
    assert impostor_message(LFS) == "is a pointer of Git LFS (run 'git lfs pull'), not the file itself"
    assert impostor_message("a".encode("utf-16")) == "is UTF-16 text, save it as UTF-8"
    assert impostor_message(archive()) == "is a zip archive, unpack it"


def test_many_comments_before_no_page_take_no_time() -> None:
    assert disguise(b"<!---->" * (HEAD // 7)) is None
