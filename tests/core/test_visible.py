"""User text cannot control a terminal, a page or a spreadsheet."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from prune.cli import Command, RunArgs, exit_code, setup_logging
from prune.errors import UsageError
from prune.metrics.csv_text import csv_text
from prune.report.html import text
from prune.report.summary import format_summary
from prune.report.tables import format_table
from prune.report.visible import visible, visible_lines

EVIL = "\x1b[31mred\r\0\x9b\u202eder\u2028"
SHOWN = r"\x1b[31mred\r\x00\x9b\u202eder\u2028"


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    logger = logging.getLogger("prune")
    state = logger.handlers[:], logger.level
    yield
    logger.handlers[:], logger.level = state


def test_control_characters_and_marks_of_direction_become_escapes() -> None:
    assert visible(EVIL) == SHOWN
    assert visible("a\nb\tc") == r"a\nb\tc"
    assert visible_lines("a\nb\tc") == "a\nb\\tc"


def test_letters_of_every_script_are_kept() -> None:
    words = "Hündin 狗 सूअर 👩‍🚀 كلب ½ …"
    assert visible(words) == words


def test_tables_keep_their_columns_with_such_names() -> None:
    table = format_table(["class", "ap\x1b"], [[EVIL, 1], ["a\nb", 20]])
    lines = table.splitlines()
    assert len(lines) == 4
    assert {len(line) for line in lines[1:]} == {len(lines[1])}
    assert SHOWN in table
    assert "\x1b" not in table


def test_pages_show_them_and_stay_escaped() -> None:
    assert text("<\x1b\u202e>") == r"&lt;\x1b\u202e&gt;"


def test_log_lines_errors_and_tables_reach_the_terminal_without_them(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        logging.getLogger("prune.x").warning("unknown key '%s' in %s", EVIL, "a\nb")
        Command("x", {}, RunArgs(), [], 0.0).echo(f"{EVIL}\nsecond line")
        raise UsageError(f"{EVIL}: no such class")

    setup_logging(quiet=False)
    assert exit_code(fail) == 2
    out, err = capsys.readouterr()
    assert out == f"{SHOWN}\nsecond line\n"
    assert err.splitlines()[0] == f"warning: unknown key '{SHOWN}' in a\\nb"
    assert err.splitlines()[1].startswith("error: \\x1b[31mred")
    assert not {"\x1b", "\r", "\0", "\x9b", "\u202e"} & set(out + err)


def test_json_means_the_same_without_them() -> None:
    summary = {"names": [EVIL + "\x7f", "狗 👩‍🚀"]}
    text = format_summary(summary)
    assert json.loads(text) == summary
    assert "狗 👩‍🚀" in text
    assert not {"\x1b", "\r", "\0", "\x7f", "\x9b", "\u202e", "\u2028"} & set(text)


def test_cells_that_a_spreadsheet_would_evaluate_get_an_apostrophe() -> None:
    names = ["=1+1", "+x", "-x", "@sum", "cat", "-5", "+1e3", "a=b"]
    assert csv_text([[name] for name in names]).split("\n")[:-1] == [
        *("'=1+1", "'+x", "'-x", "'@sum"),
        *("cat", "-5", "+1e3", "a=b"),
    ]
    assert csv_text([["a,b", -0.5, None, 3]]) == '"a,b",-0.5,,3\n'


def test_the_tables_of_an_evaluation_are_neutral(tmp_path: Path) -> None:
    import numpy as np

    from prune.metrics.confusion import Confusion
    from prune.metrics.result import Inference, Metrics

    origin = Inference(img_size=(32, 32), fit="stretch", conf=0.1, nms=0.5)
    metrics = Metrics(protocol="voc10", images=1, origin=origin, per_class={"=cmd()": 0.5})
    assert metrics.per_class_csv() == "class,ap\n'=cmd(),0.5\n"
    confusion = Confusion(("@a",), np.zeros((2, 2), np.int64), 0.5, 0.5)
    assert confusion.csv() == "true \\ detected,'@a,background\n'@a,0,0\nbackground,0,0\n"
