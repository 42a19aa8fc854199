"""Image files: size and pixels."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from prune.detect.images import image_size, read_image
from tests.torch.sample_files import write_image


class TestImages:
    @pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
    def test_the_header_tells_the_size(self, tmp_path: Path, suffix: str) -> None:
        assert image_size(write_image(tmp_path / f"a.{suffix}", (33, 17))) == (33, 17)

    def test_what_is_no_image_has_no_size_and_no_pixels(self, tmp_path: Path) -> None:
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


def turned_jpeg(path: Path) -> Path:
    """A 40 × 20 JPEG whose orientation flag (EXIF tag 0x112, value 6) asks for a quarter turn."""
    data = write_image(path, (40, 20)).read_bytes()
    entry = struct.pack("<HHIHH", 0x112, 3, 1, 6, 0)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    body = b"Exif\0\0" + tiff
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
    return path


def test_the_orientation_flag_counts_only_where_the_annotation_followed_it(tmp_path: Path) -> None:
    path = turned_jpeg(tmp_path / "a.jpg")
    assert image_size(path) == (40, 20)
    for annotated, shape in ((None, (20, 40, 3)), ((40, 20), (20, 40, 3)), ((20, 40), (40, 20, 3))):
        image = read_image(path, annotated)
        assert image is not None
        assert image.shape == shape
