"""results.csv: one line per epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from prune.darknet.files import atomic_write, read_text

Row = dict[str, str]


class Results:
    """The table of a run so far, rewritten whole after each epoch (a few kilobytes), so it is never half a
    line.
    """

    def __init__(self, path: Path, rows: list[Row] | None = None) -> None:
        self.path = path
        self.rows = rows or []

    def append(self, values: Mapping[str, float | int | None]) -> None:
        """Add an epoch's values and write the file. None is an empty cell."""
        self.rows.append({key: format_value(value) for key, value in values.items()})
        atomic_write(self.path, self.text())

    def text(self) -> str:
        """The file's text; columns in the order in which they first appeared."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        out = io.StringIO()
        writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()


def resume_results(path: Path, epoch: int) -> Results:
    """The table at `path` without the lines of `epoch` and later, which will be done again."""
    if not path.is_file():
        return Results(path)
    rows = list(csv.DictReader(io.StringIO(read_text(path))))
    return Results(path, [row for row in rows if int(row["epoch"]) < epoch])


def format_value(value: float | int | None) -> str:
    """Six significant digits are enough to plot and to compare."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"
