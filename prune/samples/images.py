"""Image files: their names, sizes and pixels."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from prune.files.impostors import HEAD, disguise

Image = NDArray[np.uint8]
"""(H, W, 3) RGB, or for networks of one channel (H, W) grayscale, which is how OpenCV stores it."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Image suffixes in lower case; where two files share a stem, the earlier suffix wins."""
_MAGIC = {
    rb"\xff\xd8\xff": ".jpg",
    rb"\x89PNG\r\n\x1a\n": ".png",
    rb"BM": ".bmp",
    rb"RIFF....WEBP": ".webp",
    rb"II\*\0|MM\0\*": ".tif",
    rb"P[36]\s": ".ppm",
    rb"P[25]\s": ".pgm",
}
READ_FLAGS = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}
"""How a file is decoded for a network with this number of channels, as AlexeyAB's Darknet with OpenCV does
(`load_image_mat`). Darknet cannot read images for other numbers either."""


def is_image_name(name: str) -> bool:
    """True for a name with an image's suffix, in any case."""
    return name.lower().endswith(SUFFIXES)


def image_suffix(path: Path) -> str | None:
    """The usual suffix of a file's content, by its first bytes; None for anything that is not a known image format."""
    with path.open("rb") as file:
        start = file.read(12)
    return next((suffix for magic, suffix in _MAGIC.items() if re.match(magic, start, re.DOTALL)), None)


def read_image(
    path: Path, size_wh: tuple[int, int] | None = None, upright: bool = False, channels: int = 3
) -> Image | None:
    """(H, W, 3) uint8 RGB, or with one channel (H, W) uint8 grayscale; None where the file is missing or cannot
    be decoded. `channels`: a key of READ_FLAGS.

    Grayscale is OpenCV's IMREAD_GRAYSCALE: the values of a grey file as they are, of a colour file the luma
    0.299 R + 0.587 G + 0.114 B (ITU-R BT.601-7, 2.5.1), which a JPEG stores as its Y.

    A camera's orientation flag is ignored, as in Darknet, unless the annotated `size_wh` is the image's size
    transposed: then the annotation was made on the rotated image. `upright`: it is always followed, as in viewers.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    flag = READ_FLAGS[channels]
    image = _decode(data, flag | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION))
    if image is not None and size_wh is not None and size_wh != image.shape[1::-1] == size_wh[::-1]:
        image = _decode(data, flag)
    return image if image is None or channels == 1 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _decode(data: NDArray[np.uint8], flags: int) -> Image | None:
    try:
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:  # larger than OpenCV's limit, or damaged beyond recognition
        return None
    return None if image is None else np.asarray(image, np.uint8)


def image_size(path: Path) -> tuple[int, int] | None:
    """(width, height) in pixels as stored, from the header alone for JPEG, PNG and BMP.

    Other formats are decoded. None where the file is missing or is not an image.
    """
    try:
        with path.open("rb") as file:
            size = _header_size(file)
    except (OSError, struct.error):
        return None
    if size is None:
        image = read_image(path)
        size = None if image is None else (image.shape[1], image.shape[0])
    return size if size and min(size) > 0 else None


def decode_fault(path: Path, message: str = "image cannot be decoded") -> str:
    """`message`, and what the file is instead where its first bytes show it (a pointer of Git LFS, a web page)."""
    shown = _disguise_of(path)
    return message if shown is None else f"{message}: it is {shown}"


def none_decodes(path: Path) -> str:
    """The message of an error about the first of a set of images none of which can be decoded."""
    shown = _disguise_of(path)
    return f"cannot be decoded{f' (it is {shown})' if shown else ''}, nor can any other; check the images"


def _disguise_of(path: Path) -> str | None:
    """What a file is if it is not an image."""
    try:
        with path.open("rb") as file:
            shown = disguise(file.read(HEAD))
    except OSError:
        return None
    return None if shown is None or shown.endswith(" image") else shown


def orientation(content: bytes) -> int:
    """A JPEG's orientation flag (EXIF tag 0x112, 1 … 8; CIPA DC-008, 4.6.4): how viewers rotate and mirror it. 1, as it
    is stored, also where there is none."""
    at = 2 if content.startswith(b"\xff\xd8") else len(content)
    while content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] != b"\xda":  # until the first scan
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at + 1 : at + 2] == b"\xe1" and content[at + 4 : at + 10] == b"Exif\0\0":
            return _orientation_of(content[at + 10 : at + 2 + length])
        at += 2 + length
    return 1


def _orientation_of(tiff: bytes) -> int:
    order = "<" if tiff[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        entries = [struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * number) for number in range(count)]
    except struct.error:
        return 1
    return next((value for tag, _, _, value in entries if tag == 0x112 and 1 <= value <= 8), 1)


def is_turned(path: Path, declared_wh: tuple[int, int], stored_wh: tuple[int, int]) -> bool:
    """Whether an annotation that declares the size `declared_wh` was made on the rotated image: the size is `stored_wh`
    transposed, and so is the image under the camera's orientation flag. (Without the flag, width and height were mixed
    up.) Decodes the image if necessary."""
    if declared_wh == stored_wh or declared_wh != stored_wh[::-1]:
        return False
    image = read_image(path, upright=True)
    return image is not None and (image.shape[1], image.shape[0]) == declared_wh


def _header_size(file: BinaryIO) -> tuple[int, int] | None:
    start = file.read(26)
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack(">II", start[16:24])
        return width, height
    if start.startswith(b"BM"):
        width, height = struct.unpack("<ii", start[18:26])
        return width, abs(height)  # a negative height only means rows from the top
    if start.startswith(b"\xff\xd8"):
        file.seek(2)
        return _jpeg_size(file)
    return None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Walks the segments up to the frame header (ITU-T T.81, B.2.2: markers C0 … CF except C4, C8, CC)."""
    while True:
        marker = file.read(2)
        while marker[1:] == b"\xff":  # fill bytes may precede a marker
            marker = b"\xff" + file.read(1)
        if len(marker) < 2 or marker[0] != 0xFF:
            return None
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        file.seek(length - 2, 1)
