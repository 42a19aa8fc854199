"""Reading and writing whole files: never half-written, and with errors that name the file."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from prune.darknet.impostors import HEAD, impostor_message
from prune.darknet.locks import LOCKS
from prune.darknet.temporary import open_temporary
from prune.errors import DataError, FileError, UsageError

ErrorType = Callable[[Path, None, str], FileError]


@contextmanager
def atomic_file(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file that appears under `path` only when the block ended without an error. An OSError names `path`."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with naming(target, unless_named=False):
        descriptor, temporary = open_temporary(target)
    try:
        with naming(target), os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if LOCKS:  # renamed while it is locked: no cleaner takes it for a dead process's
                _publish(temporary, target)
        if not LOCKS:  # Windows renames no open file
            _publish(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: Path | str, unless_named: bool = True) -> Iterator[None]:
    """Lets an OSError that leaves the block name `path`, as those of a full disk do not.

    `unless_named`: not where it names a file already.
    """
    try:
        yield
    except OSError as cause:
        if cause.errno is not None and not (unless_named and cause.filename is not None):
            cause.filename, cause.filename2 = str(path), None
        raise


def atomic_write(path: Path | str, content: bytes | str) -> None:
    """Writes `content` (text as UTF-8) to `path` by way of a temporary file and a rename."""
    with atomic_file(path) as file:
        file.write(content if isinstance(content, bytes) else encode_text(content))


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
    """The file's text with its line ends as they are; bytes that are not UTF-8 survive a rewrite.

    Raises `error` as `read_bytes` does, and where the file is not text (`text_fault`).
    """
    data = read_bytes(path, error)
    if fault := text_fault(data):
        raise error(Path(path), None, fault)
    return decode_text(data)


def text_fault(data: bytes) -> str | None:
    """Why the content of a file is not text in UTF-8 or one of its like, as the message of an error: a web page, a
    pointer of Git LFS, UTF-16, an archive, something binary. None for text."""
    if message := impostor_message(data[:HEAD]):
        return message
    return "contains NUL bytes: it is binary, or UTF-16 text; save it as UTF-8" if b"\0" in data else None


def decode_text(data: bytes) -> str:
    """The inverse of `encode_text`."""
    return data.decode("utf-8", errors="surrogateescape")


def read_json(path: Path | str) -> Any:
    """What a JSON file holds. Raises DataError where it is missing or no JSON."""
    try:
        return json.loads(read_text(path, DataError).removeprefix("\ufeff"))
    except json.JSONDecodeError as cause:
        raise DataError(path, cause.lineno, f"is not JSON ({cause.msg}); correct or replace the file") from cause
    except (RecursionError, ValueError) as cause:  # ValueError: a number of thousands of digits
        problem = "nested too deeply" if isinstance(cause, RecursionError) else "a number is too long"
        raise DataError(path, None, f"is not JSON that can be read ({problem}); replace the file") from cause


def is_unicode(text: str) -> bool:
    """Whether none of it were bytes that are not UTF-8 (see `read_text`)."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def encode_text(text: str) -> bytes:
    """The inverse of `read_text`, byte for byte."""
    return text.encode("utf-8", errors="surrogateescape")


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def refuse_overwriting(outputs: Iterable[Path | str], inputs: Iterable[Path | str | None]) -> None:
    """Raises UsageError where an output would replace one of the inputs."""
    sources = {Path(source).resolve() for source in inputs if source is not None}
    for output in outputs:
        if Path(output).resolve() in sources:
            raise UsageError(f"{output}: is an input of this command; choose another --out")


def _publish(temporary: Path, target: Path) -> None:
    with naming(target, unless_named=False):
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)


def _reason(cause: OSError) -> str:
    if isinstance(cause, FileNotFoundError):
        return "no such file; check the path"
    if isinstance(cause, IsADirectoryError):
        return "is a folder, not a file"
    return f"cannot be read ({cause.strerror})"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
