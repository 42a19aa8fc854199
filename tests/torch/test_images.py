"""Image files: size and pixels."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from prune.samples.images import image_size, image_suffix, is_turned, orientation, read_image
from tests.datasets import turned_jpeg
from tests.torch.sample_files import write_image


class TestImages:
    @pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
    def test_the_size_is_read_from_the_header(self, tmp_path: Path, suffix: str) -> None:
        assert image_size(write_image(tmp_path / f"a.{suffix}", (33, 17))) == (33, 17)

    def test_a_file_that_is_not_an_image_has_no_size_and_no_pixels(self, tmp_path: Path) -> None:
        path = write_image(tmp_path / "a.jpg")
        for content in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00", b"\x89PNG\r\n\x1a\n", b"text", b"BM"):
            path.write_bytes(content)
            assert image_size(path) is None
            assert read_image(path) is None
        assert read_image(tmp_path / "no.jpg") is None

    def test_pixels_are_rgb(self, tmp_path: Path) -> None:
        red = np.zeros((4, 6, 3), np.uint8)
        red[..., 2] = 255  # OpenCV writes BGR
        cv2.imwrite(str(tmp_path / "a.png"), red)
        image = read_image(tmp_path / "a.png")
        assert image is not None
        assert image.shape == (4, 6, 3)
        assert image[0, 0].tolist() == [255, 0, 0]


def test_the_orientation_flag_counts_only_where_the_annotation_followed_it(tmp_path: Path) -> None:
    path = turned_jpeg(tmp_path / "a.jpg", (40, 20))
    assert image_size(path) == (40, 20)
    for annotated, shape in ((None, (20, 40, 3)), ((40, 20), (20, 40, 3)), ((20, 40), (40, 20, 3))):
        image = read_image(path, annotated)
        assert image is not None
        assert image.shape == shape


def test_only_the_flag_distinguishes_a_rotated_image_from_mixed_up_sides(tmp_path: Path) -> None:
    turned, plain = turned_jpeg(tmp_path / "a.jpg", (40, 20)), write_image(tmp_path / "b.jpg", (40, 20))
    assert is_turned(turned, (20, 40), (40, 20))
    assert not is_turned(plain, (20, 40), (40, 20))
    assert not is_turned(turned, (40, 20), (40, 20))
    assert not is_turned(turned, (21, 40), (40, 20))


def test_the_orientation_flag_is_read_from_either_byte_order(tmp_path: Path) -> None:
    for flag in range(1, 9):
        content = turned_jpeg(tmp_path / "a.jpg", (40, 20), flag).read_bytes()
        assert orientation(content) == flag
        little = content[: content.index(b"II*")]
        entry = struct.pack(">HHIHH", 0x112, 3, 1, flag, 0)
        tail = content[content.index(b"II*") + 26 :]
        assert orientation(little + b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0) + tail) == flag
    plain = write_image(tmp_path / "b.jpg").read_bytes()
    unknown = turned_jpeg(tmp_path / "c.jpg", (4, 4), 9).read_bytes()
    broken = content.replace(b"II*\0\x08", b"II*\0\xff")
    for data in (plain, unknown, broken, content[:30], b"\xff\xd8\xff", b"\xff\xd8", b""):
        assert orientation(data) == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif", ".ppm"])
def test_the_suffix_follows_from_the_first_bytes(tmp_path: Path, suffix: str) -> None:
    assert image_suffix(write_image(tmp_path / f"a{suffix}").rename(tmp_path / "a")) == suffix
    (tmp_path / "a").write_text("no image")
    assert image_suffix(tmp_path / "a") is None
