"""The content of a `.pt` file of this project, in a canonical form: equal runs write equal bytes; and its checksum."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prune.errors import WeightsError

CHECKSUM = "checksum"


def as_stored(value: Any) -> Any:
    """A copy of the content in plain containers, with tensors on the CPU.

    Pickle writes an object that occurred before as a reference: whether two equal strings or tuples are one object
    would change the bytes, and differs between a run and a resumed one.
    """
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, str):
        return sys.intern(str(value))
    if isinstance(value, Mapping):
        return {as_stored(key): as_stored(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([as_stored(item) for item in value])
    return float(value) if isinstance(value, float) else value


def checksum(content: Mapping[str, Any]) -> str:
    """Hex SHA-256 of everything in `content` except its checksum: keys, types, shapes and values."""
    digest = hashlib.sha256()
    _feed(digest, {key: value for key, value in content.items() if key != CHECKSUM})
    return digest.hexdigest()


def check_sum(path: Path, content: Mapping[str, Any]) -> None:
    """Raise WeightsError where the content does not match its checksum, or has it under a damaged name; files without
    one are accepted."""
    if not _matches(content) if CHECKSUM in content else any(map(_is_checksum, content.values())):
        message = "is damaged: its content does not match its checksum; use another checkpoint or an earlier copy"
        raise WeightsError(path, message)


def _is_checksum(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _matches(content: Mapping[str, Any]) -> bool:
    stored = content[CHECKSUM]
    try:
        return isinstance(stored, str) and stored == checksum(content)
    except (RuntimeError, TypeError, ValueError):  # tensors of a kind that we never write
        return False


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        digest.update(f"tensor {value.dtype} {tuple(value.shape)};".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    elif isinstance(value, Mapping):
        digest.update(f"dict {len(value)};".encode())
        for key, item in value.items():
            _feed(digest, key)
            _feed(digest, item)
    elif isinstance(value, (list, tuple)):
        digest.update(f"{type(value).__name__} {len(value)};".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(f"{type(value).__name__} {value!r};".encode("utf-8", errors="surrogateescape"))
