"""summary.json: command, files, versions and results (fields: docs/cli.md)."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from prune import __version__
from prune.files.reading import is_unicode, sha256
from prune.report.visible import visible_json

FIELDS = ("command", "arguments", "versions", "seed", "inputs", "outputs", "wall_seconds")
PACKAGES = ("torch", "numpy", "opencv-python", "opencv-python-headless", "pycocotools")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as the summary names it: its path as given and the SHA-256 of its bytes, in hex."""

    path: str
    sha256: str


def file_records(paths: Iterable[Path]) -> list[FileRecord]:
    """One record per path, in order. Raises OSError where a file cannot be read."""
    return [FileRecord(str(path), sha256(path)) for path in paths]


def installed_versions() -> dict[str, str]:
    """Versions of Python, of this project and of the packages that results depend on; absent packages are
    left out.
    """
    found = {"python": platform.python_version(), "prune": __version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def build_summary(
    *,
    command: str,
    arguments: Mapping[str, Any],
    seed: int,
    inputs: Sequence[FileRecord],
    outputs: Sequence[FileRecord],
    wall_seconds: float,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The summary as plain JSON values.

    A fact that is None was not computed and is left out, at any depth.
    """
    summary = {
        "command": command,
        "arguments": {key: plain(value) for key, value in arguments.items()},
        "versions": installed_versions(),
        "seed": seed,
        "inputs": plain(inputs),
        "outputs": plain(outputs),
        "wall_seconds": round(wall_seconds, 3),
    }
    clash = sorted(set(summary) & set(facts))
    if clash:
        raise ValueError(f"facts must not replace the summary's own fields: {', '.join(clash)}")
    found: dict[str, Any] = drop_absent(plain(facts))
    return summary | found


def plain(value: Any) -> Any:
    """`value` in JSON's own types: paths as text, dataclasses and mappings as dicts, numpy scalars as
    numbers.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def drop_absent(value: Any) -> Any:
    """`value` without dict entries that are None: what was not computed is absent, never null."""
    if isinstance(value, dict):
        return {key: drop_absent(item) for key, item in value.items() if item is not None}
    return [drop_absent(item) for item in value] if isinstance(value, list) else value


def format_summary(summary: Mapping[str, Any]) -> str:
    """The text of summary.json, with a final newline; characters are not escaped, except those of a path that is not
    UTF-8 and those that would control a terminal.

    Raises ValueError for NaN or infinity, which JSON does not have.
    """
    text = json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False)
    return visible_json(text if is_unicode(text) else json.dumps(summary, indent=2, allow_nan=False)) + "\n"


def is_summary(text: str) -> bool:
    """Whether the text is a summary of this project."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.keys() >= set(FIELDS)
