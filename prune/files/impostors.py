"""Files that are not what their name says, recognised by their first bytes."""

from __future__ import annotations

import re
from typing import NamedTuple

HEAD = 1024
"""How many of the first bytes the functions below need."""

_PAGE = (
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|body|script)\b"
)
_SERVER_ERROR = rb"\s*<\?xml[^>]*>\s*<Error>"  # the answer of object stores for a missing or private file
_ASCII = rb"[\t\n\r\x20-\x7e]"
_AGAIN = "not the file itself; download it again"
_UNPACK, _UTF8, _PATH = "unpack it", "save it as UTF-8", "correct the path"


class _Kind(NamedTuple):
    pattern: bytes
    name: str
    fix: str


_KINDS = (
    _Kind(rb"version https://(?:git-lfs|hawser)\.github\.com/spec/", "a pointer of Git LFS (run 'git lfs pull')", ""),
    _Kind(rb"/annex/objects/", "a pointer of git-annex (run 'git annex get')", ""),
    _Kind(_PAGE, "a web page", _AGAIN),
    _Kind(_SERVER_ERROR, "a web server's error message", _AGAIN),
    _Kind(rb"\xff\xfe\0\0|\0\0\xfe\xff", "UTF-32 text", _UTF8),
    # Without a byte order mark: letters of ASCII, each with a NUL. (A weights file has NULs, too, but no letters.)
    _Kind(rb"\xff\xfe|\xfe\xff|(?:\0%b){4}|(?:%b\0){4}" % (_ASCII, _ASCII), "UTF-16 text", _UTF8),
    _Kind(
        rb"PK\x03\x04.{26}[^/]{1,255}/data\.pkl|\x80.\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", "a PyTorch checkpoint", _PATH
    ),
    _Kind(rb"PK\x03\x04", "a zip archive", _UNPACK),
    _Kind(rb"\x1f\x8b", "a gzip archive", _UNPACK),
    _Kind(rb"BZh[1-9]1AY&SY", "a bzip2 archive", _UNPACK),
    _Kind(rb"\xfd7zXZ\0", "an xz archive", _UNPACK),
    _Kind(rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    _Kind(rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    _Kind(rb".{257}ustar", "a tar archive", _UNPACK),
    _Kind(rb"\x89PNG\r\n\x1a\n", "a PNG image", _PATH),
    _Kind(rb"\xff\xd8\xff", "a JPEG image", _PATH),
    _Kind(rb"GIF8[79]a", "a GIF image", _PATH),
    _Kind(rb"RIFF.{4}WEBP", "a WebP image", _PATH),
    _Kind(rb"BM.{4}\0{4}", "a BMP image", _PATH),
    _Kind(rb"II\*\0|MM\0\*", "a TIFF image", _PATH),
    _Kind(rb".{4}ftyp(?:he[im]|hev|mif1|msf1|avi[fs])", "a HEIC or AVIF picture", "convert it to JPEG"),
    _Kind(rb".{4}ftyp", "a video", _PATH),
    _Kind(rb"%PDF-", "a PDF document", _PATH),
    _Kind(rb"\x93NUMPY", "a NumPy array", _PATH),
    _Kind(rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _PATH),
)
_ANY = re.compile(
    b"|".join(b"(?P<k%d>%b)" % (number, kind.pattern) for number, kind in enumerate(_KINDS)), re.DOTALL | re.IGNORECASE
)


def disguise(head: bytes) -> str | None:
    """What the first bytes of a file (up to `HEAD`) show it to be, as a noun: "a web page", "UTF-16 text" …

    None where they match nothing of that kind, as for weights, cfgs, lists, label files, JSON and VOC's XML. Images
    and checkpoints are named, so their readers ask only after they have failed.
    """
    kind = _kind_of(head)
    return kind.name if kind else None


def impostor_message(head: bytes) -> str | None:
    """The same as an error message: what the file is, and the fix."""
    kind = _kind_of(head)
    if kind is None:
        return None
    return f"is {kind.name}" + (f", {kind.fix}" if kind.fix else ", not the file itself")


def _kind_of(head: bytes) -> _Kind | None:
    found = _ANY.match(head)
    return _KINDS[int(found.lastgroup[1:])] if found and found.lastgroup else None
