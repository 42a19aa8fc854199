"""Reading whole files, with errors that name the file."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prune.errors import DataError, FileError
from prune.files.impostors import HEAD, impostor_message

ErrorType = Callable[[Path, None, str], FileError]


def read_bytes(path: Path | str, error: ErrorType = FileError) -> bytes:
    """The file's bytes. Raises `error` where it is missing, a folder, a pipe or a device, or unreadable."""
    try:
        kind = os.stat(path).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # reading it might never end
            raise error(Path(path), None, "is a pipe or a device, not a file; give a file")
        return Path(path).read_bytes()
    except OSError as cause:
        raise error(Path(path), None, _reason(cause)) from cause
    except ValueError as cause:
        raise error(Path(path), None, "is not a path; correct it") from cause


def read_text(path: Path | str, error: ErrorType = FileError) -> str:
    """The file's text with its line ends unchanged; bytes that are not UTF-8 survive a rewrite.

    Raises `error` as `read_bytes` does, and where the file is not text (`text_fault`).
    """
    data = read_bytes(path, error)
    if fault := text_fault(data):
        raise error(Path(path), None, fault)
    return decode_text(data)


def text_fault(data: bytes) -> str | None:
    """Why the content of a file is not text in UTF-8 or a similar encoding, as an error message: a web page, a pointer
    of Git LFS, UTF-16, an archive, another binary file. None for text."""
    if message := impostor_message(data[:HEAD]):
        return message
    return "contains NUL bytes: it is binary, or UTF-16 text; save it as UTF-8" if b"\0" in data else None


def decode_text(data: bytes) -> str:
    """The inverse of `encode_text`."""
    return data.decode("utf-8", errors="surrogateescape")


def read_json(path: Path | str) -> Any:
    """The content of a JSON file. Raises DataError where it is missing or not JSON."""
    try:
        return json.loads(read_text(path, DataError).removeprefix("\ufeff"))
    except json.JSONDecodeError as cause:
        raise DataError(path, cause.lineno, f"is not JSON ({cause.msg}); correct or replace the file") from cause
    except (RecursionError, ValueError) as cause:  # ValueError: a number of thousands of digits
        problem = "nested too deeply" if isinstance(cause, RecursionError) else "a number is too long"
        raise DataError(path, None, f"is not JSON that can be read ({problem}); replace the file") from cause


def is_unicode(text: str) -> bool:
    """Whether it contains no bytes that were not UTF-8 (see `read_text`)."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _reason(cause: OSError) -> str:
    if isinstance(cause, FileNotFoundError):
        return "no such file; check the path"
    if isinstance(cause, IsADirectoryError):
        return "is a folder, not a file"
    return f"cannot be read ({cause.strerror})"
