"""summary.json and the tables that people see."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from prune.report.summary import FileRecord, build_summary, file_records, format_summary
from prune.report.tables import format_before_after, format_cell, format_table


def summary(**facts: object) -> dict[str, object]:
    return build_summary(
        command="c.py",
        arguments={"cfg": Path("a.cfg"), "size": (3, 4)},
        seed=7,
        inputs=[FileRecord("a.cfg", "00")],
        outputs=[],
        wall_seconds=1.23456,
        facts=facts,
    )


def test_a_summary_contains_the_fields_of_the_contract() -> None:
    read = json.loads(format_summary(summary(ap50=0.5)))
    assert {"command", "arguments", "versions", "seed", "inputs", "outputs", "wall_seconds"} <= read.keys()
    assert read["arguments"] == {"cfg": "a.cfg", "size": [3, 4]}
    assert read["inputs"] == [{"path": "a.cfg", "sha256": "00"}]
    assert read["wall_seconds"] == 1.235
    assert {"python", "numpy", "torch"} <= read["versions"].keys()
    assert (read["seed"], read["ap50"]) == (7, 0.5)


def test_what_was_not_computed_is_absent_at_any_depth() -> None:
    read = summary(ap=None, before={"ap": None, "parameters": 3, "per_class": {"a": None, "b": 0.0}})
    assert "ap" not in read
    assert read["before"] == {"parameters": 3, "per_class": {"b": 0.0}}


def test_numpy_numbers_become_plain_ones() -> None:
    read = json.loads(format_summary(summary(ap=np.float32(0.5), counts=np.arange(3))))
    assert read["ap"] == 0.5
    assert read["counts"] == [0, 1, 2]


def test_a_nan_is_refused_and_so_are_facts_that_hide_fields() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        format_summary(summary(ap=float("nan")))
    with pytest.raises(ValueError, match="seed"):
        summary(seed=1)


def test_file_records_hash_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (record,) = file_records([tmp_path / "a"])
    assert record == FileRecord(str(tmp_path / "a"), hashlib.sha256(b"abc").hexdigest())
    with pytest.raises(FileNotFoundError):
        file_records([tmp_path / "b"])


def test_a_table_aligns_numbers_right_and_words_left() -> None:
    lines = format_table(["stage", "parameters"], [["baseline", 1234567], ["cut", None]]).splitlines()
    assert lines == [
        "stage     parameters",
        "--------  ----------",
        "baseline   1,234,567",
        "cut                -",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5000"),
        (0.0, "0.0000"),
        (1e-5, "1.00e-05"),
        (None, "-"),
        (True, "True"),
        (12345, "12,345"),
        ("x", "x"),
    ],
)
def test_cells_are_short_and_readable(value: object, text: str) -> None:
    assert format_cell(value) == text


def test_before_and_after_show_the_change() -> None:
    table = format_before_after({"parameters": 200, "ap50": 0.5}, {"parameters": 50, "ap50": 0.4})
    assert "-75.0 %" in table
    assert "-20.0 %" in table
    assert "bflops" not in table
