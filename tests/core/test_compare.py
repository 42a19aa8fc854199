from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from prune.commands.compare import format_stages, read_stage
from prune.errors import DataError

FACTS: dict[str, Any] = {"parameters": 10, "bflops": 1.0, "weights_bytes": 40, "layers": 3, "ap50": 0.9}


def written(folder: Path, **changes: Any) -> Path:
    facts = {key: value for key, value in (FACTS | changes).items() if value != "absent"}
    (folder / "summary.json").write_text(json.dumps(facts))
    return folder


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"parameters": "many"}, "'parameters' must be a number, but is 'many'"),
        ({"bflops": "absent"}, "'bflops' must be a number, but is missing"),
        ({"weights_bytes": [1]}, r"'weights_bytes' must be a number, but is \[1\]"),
        ({"layers": None}, "'layers' must be a number, but is None"),
        ({"ap50": "0.9"}, "'ap50' must be a number, but is '0.9'"),
        ({"ap75": float("nan")}, "'ap75' must be a number, but is nan"),
        ({"parameters": 10**400}, "'parameters' must be a number, but is 1000"),
        ({"parameters": True}, "'parameters' must be a number, but is True"),
        ({"parameters": 5000 * "9"}, "'parameters' must be a number, but is '9999"),
    ],
)
def test_a_summary_with_values_other_than_numbers_is_one_line(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=rf"summary\.json: {told}") as caught:
        read_stage(written(tmp_path, **changes))
    assert len(str(caught.value)) < 300


def test_a_summary_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "summary.json")
    with pytest.raises(DataError, match="is a pipe or a device"):
        read_stage(tmp_path)


def test_a_first_stage_of_nothing_has_no_change_in_percent(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    stages = [read_stage(written(tmp_path / "a", bflops=0.0)), read_stage(written(tmp_path / "b"))]
    assert "%" not in format_stages(stages)
