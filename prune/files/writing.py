"""Writing whole files: never half-written, and with errors that name the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from prune.errors import UsageError
from prune.files.locks import LOCKS
from prune.files.temporary import open_temporary


@contextmanager
def atomic_file(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file that appears under `path` only when the block ended without an error. An OSError names `path`.

    Until then it is in the same folder as `file.name`, where the block can read it again once it is flushed.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with naming(target, unless_named=False):
        descriptor, temporary = open_temporary(target)
    try:
        with naming(target), open(temporary, "wb", opener=lambda *_: descriptor) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if LOCKS:  # renamed while it is locked: no cleaner takes it for a dead process's
                _publish(temporary, target)
        if not LOCKS:  # Windows cannot rename an open file
            _publish(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: Path | str, unless_named: bool = True) -> Iterator[None]:
    """Makes an OSError that leaves the block name `path`, which that of a full disk does not.

    `unless_named`: unless it names a file already.
    """
    try:
        yield
    except OSError as cause:
        if cause.errno is not None and not (unless_named and cause.filename is not None):
            cause.filename, cause.filename2 = str(path), None
        raise


def atomic_write(path: Path | str, content: bytes | str) -> None:
    """Writes `content` (text as UTF-8) to `path` through a temporary file and a rename."""
    with atomic_file(path) as file:
        file.write(content if isinstance(content, bytes) else encode_text(content))


def encode_text(text: str) -> bytes:
    """The inverse of `read_text`, byte for byte."""
    return text.encode("utf-8", errors="surrogateescape")


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
