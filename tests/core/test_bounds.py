"""Files of bounds: what they say, and one line for everything that is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from prune.errors import FileError, PruneError
from prune.plan.bounds import Bound, parse_bounds, read_bounds
from tests.small_cfgs import ADD, cbl, graph_of

GRAPH = graph_of(cbl(4) + cbl(4) + ADD + "from=-2\n" + cbl(8))
"""Layers 0 and 1 are tied by the shortcut at 2, layer 3 is alone, 4 feeds the head at 5."""


def test_bounds_are_given_by_index_and_range_with_comments() -> None:
    text = "\ufeff# least most\n\n0-2 0.5 1.0  # the shortcut in between is not a convolution\n3\t0.25 .5\r\n"
    assert parse_bounds(text, "b.txt", GRAPH) == {0: Bound(0.5, 1, 3), 1: Bound(0.5, 1, 3), 3: Bound(0.25, 0.5, 4)}
    assert list(parse_bounds("3,0-1 0 1", "b.txt", GRAPH)) == [3, 0, 1]
    assert parse_bounds("# nothing\n", "b.txt", GRAPH) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3 0.5", "write LAYERS LEAST MOST"),
        ("3 0.5 1 1", "write LAYERS LEAST MOST"),
        ("3 a 1", "write LAYERS LEAST MOST"),
        ("x 0 1", "give layer indices and ranges"),
        ("5-3 0 1", "give layer indices and ranges"),
        ("3 -0.1 1", "within [0, 1]"),
        ("3 0 1.1", "within [0, 1]"),
        ("3 nan 1", "within [0, 1]"),
        ("3 0.9 0.5", "the least share, 0.9, is larger than the most, 0.5"),
        ("6 0 1", "layer 6 does not exist"),
        ("3-6 0 1", "layer 6 does not exist"),
        ("99999999 0 1", "at most 10,000 layers"),
        ("2 0 1", "layer 2 is not a convolution"),
        ("5 0 1", "layer 5 is not a convolution"),
        ("4 0 1", "layer 4 cannot be pruned: feeds the head"),
        ("4-5 0 1", "layer 5 is not a convolution"),
        ("3 0 1\n3 0 0.5", "layer 3 has bounds already, in line 2"),
        ("0 0.9 1\n1 0 0.5", "layers 0 and 1 are pruned together, but line 2 and this one"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bounds.txt"
    path.write_text("# a comment\n" + text + "\n")
    with pytest.raises(FileError) as caught:
        read_bounds(path, GRAPH)
    assert str(caught.value).startswith(f"{path}:{1 + len(text.splitlines())}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(PruneError, match=r"none\.txt: no such file"):
        read_bounds(tmp_path / "none.txt", GRAPH)
