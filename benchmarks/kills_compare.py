"""Whether two runs have left the same files, except for times and what depends on them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

TIMED = "results.csv"


def differences(expected: Path, found: Path) -> list[str]:
    """What differs between the files of two out folders, in words."""
    names = {path.name for path in expected.iterdir()}, {path.name for path in found.iterdir()}
    found_differences = [f"{name} is missing" for name in sorted(names[0] - names[1])]
    found_differences += [f"{name} is left over" for name in sorted(names[1] - names[0])]
    for name in sorted(names[0] & names[1]):
        if (expected / name).is_file() and _content(expected / name) != _content(found / name):
            found_differences.append(f"{name} differs")
    return found_differences


def _content(path: Path) -> Any:
    if path.name == TIMED:
        return _rows(path)
    return _facts(path) if path.name == "summary.json" else path.read_bytes()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{key: cell for key, cell in row.items() if "seconds" not in key} for row in csv.DictReader(file)]


def _facts(path: Path) -> dict[str, Any]:
    """A summary without times, output folder, resumption, and the hash of the table with the times."""
    summary: dict[str, Any] = json.loads(path.read_text())
    del summary["wall_seconds"]
    for name in ("out", "resume", "overwrite"):
        summary["arguments"].pop(name, None)
    for kind in ("inputs", "outputs"):
        records = [(Path(record["path"]).name, record["sha256"]) for record in summary[kind]]
        summary[kind] = [record for record in records if record[0] != (TIMED if kind == "outputs" else "last.pt")]
    return summary
