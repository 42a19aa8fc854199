"""results.csv: one line per epoch."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from prune.errors import DataError
from prune.files.reading import decode_text, read_bytes
from prune.files.writing import atomic_write

Row = dict[str, str]
logger = logging.getLogger(__name__)
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?|nan|[-+]?inf", re.IGNORECASE | re.ASCII)


class Results:
    """The table of a run so far, rewritten completely after each epoch (a few kilobytes), so that no line is ever
    incomplete.
    """

    def __init__(self, path: Path, rows: list[Row] | None = None) -> None:
        self.path = path
        self.rows = rows or []

    def append(self, values: Mapping[str, float | int | None]) -> None:
        """Add an epoch's values and write the file. None becomes an empty cell."""
        self.rows.append({key: format_value(value) for key, value in values.items()})
        atomic_write(self.path, self.text())

    def text(self) -> str:
        """The file's text; columns in order of first appearance."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        out = io.StringIO()
        writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()


def resume_results(path: Path, epoch: int | None) -> Results:
    """The table at `path` without the lines of `epoch` and later, which will be repeated; None: an empty one.

    Raises DataError if it is not a table of epochs.
    """
    if epoch is None or not path.is_file():
        return Results(path)
    rows = [row for row in read_rows(path) if int(row["epoch"]) < epoch]
    done = int(rows[-1]["epoch"]) + 1 if rows else 0
    if done < epoch:
        logger.warning("%s has no lines for epochs %d to %d", path, done, epoch - 1)
    return Results(path, rows)


def read_rows(path: Path) -> list[Row]:
    text = decode_text(read_bytes(path, DataError))  # undecodable bytes are reported below, with line and fix
    reader = csv.DictReader(io.StringIO(text), quoting=csv.QUOTE_NONE)
    rows, before = list[Row](), -1
    try:
        for row in reader:
            before = _check_row(row, before)
            rows.append(row)
    except (ValueError, csv.Error) as cause:
        message = f"is damaged ({cause}); restore the file, or remove it to continue without the earlier lines"
        raise DataError(path, reader.line_num, message) from cause
    return rows


def _check_row(row: Mapping[str | None, object], before: int) -> int:
    """The line's epoch, which must follow `before` if that is not -1. Raises ValueError if a cell is not a number."""
    cells = {name: value for name, value in row.items() if value != ""}
    if None in cells or None in cells.values() or "epoch" not in cells:
        raise ValueError("the line differs in length from the first, or has no epoch")
    for name, value in cells.items():
        if not _NUMBER.fullmatch(str(value)):
            raise ValueError(f"{name} is not a number")
    epoch = int(str(cells["epoch"]))
    if before >= 0 and epoch != before + 1:
        raise ValueError(f"epoch {epoch} after epoch {before}")
    return epoch


def format_value(value: float | int | None) -> str:
    """The text of a cell; six significant digits are enough to plot and to compare."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"
