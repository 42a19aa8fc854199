"""The limits that all code keeps, and the figures of scripts/house.py on small sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.house import documented_share, function_lengths, long_files, long_functions, measure, table, typed_share
from scripts.house_copies import repeated_places
from scripts.house_imports import circles, import_graph, room_edges, upward
from scripts.house_picture import draw, without_implied
from scripts.house_source import Source, read_limited, read_sources
from scripts.house_tests import test_imports as imports_of_tests
from scripts.house_tests import tests_without_assertion as without_assertion
from tests.shared import REPOSITORY

TO_BE_FIXED: dict[str, str] = {}
"""What is over a limit today: the end of its place, and why. Nothing may be added."""


def allowed(place: str) -> bool:
    return any(place.endswith(known) for known in TO_BE_FIXED)


def over_limits() -> list[str]:
    limited = read_limited(REPOSITORY)
    return [*long_files(limited), *long_functions(limited + read_sources(REPOSITORY, "tests"))]


def test_no_file_and_no_function_is_too_long() -> None:
    assert [place for place in over_limits() if not allowed(place)] == []


def test_every_exception_from_the_limits_is_still_needed() -> None:
    found = over_limits()
    assert [known for known in TO_BE_FIXED if not any(place.endswith(known) for place in found)] == []


def test_every_test_asserts_something() -> None:
    assert without_assertion(read_sources(REPOSITORY, "tests")) == []


def test_no_test_module_is_imported() -> None:
    assert imports_of_tests(read_sources(REPOSITORY, "tests")) == []


def source(text: str, path: str = "prune/plan/a.py") -> Source:
    return Source(path, text)


def test_functions_and_files_over_the_limit_are_named_with_their_length() -> None:
    exact = "def f():\n" + "    x = 1\n" * 44
    over = "@cache\n" + exact + "    y = 1\n"
    assert long_functions([source(exact), source(over, "b.py")]) == ["b.py::f: 46"]
    assert long_files([source("x\n" * 250), source("x\n" * 251, "b.py")]) == ["b.py: 251"]


def test_lengths_and_fractions_count_methods_and_exclude_self() -> None:
    code = source(
        'class A:\n    """A."""\n    def f(self, a: int, *b: int, c=1) -> None:\n        """F."""\n'
        "    def g(self): ...\n    def _h(self): ...\ndef k(a: int): ...\n"
    )
    assert function_lengths([code]) == {"count": 4, "median": 1, "p90": pytest.approx(1.7), "max": 2}
    assert typed_share([code]) == 3 / 4
    assert documented_share([code]) == 2 / 4


PACKAGE = [
    source("from prune.b import x, y\nimport prune.b.z\n", "prune/a/__init__.py"),
    source("", "prune/b/__init__.py"),
    source("def f():\n    from prune import a\n", "prune/b/x.py"),
    source("from .x import f\n", "prune/b/z.py"),
]


def test_imports_are_found_wherever_and_however_they_are_written() -> None:
    assert import_graph(PACKAGE)["prune.a"] == {"prune.b.x": 1, "prune.b": 1, "prune.b.z": 2}
    assert import_graph(PACKAGE)["prune.b.z"] == {"prune.b.x": 1}
    assert room_edges(PACKAGE) == {("a", "b"): 3, ("b", "a"): 1}


def test_upward_imports_and_circles_are_named() -> None:
    assert upward(PACKAGE, [["a"], ["b"]]) == ["prune.b.x:2 imports prune.a"]
    assert len(upward(PACKAGE, [["a", "b"]])) == 4, "rooms of one level are independent"
    assert circles(import_graph(PACKAGE)) == [["prune.a", "prune.b.x", "prune.b.z"]]


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("assert x", False),
        ("with pytest.raises(ValueError): f()", False),
        ("np.testing.assert_equal(1, 1)", False),
        ("checked(1)", False),
        ("outer(1)", True),
        ("run(1)", True),
        ("mock.assertion_free = 1", True),
    ],
)
def test_a_test_needs_an_assertion_in_itself_or_in_a_helper(body: str, counts: bool) -> None:
    helpers = source("def checked(x):\n    assert x\ndef outer(x):\n    checked(x)\n", "tests/helpers.py")
    test = source(f"from tests.helpers import checked, outer\ndef test_a():\n    {body}\n", "tests/test_a.py")
    assert without_assertion([helpers, test]) == (["tests/test_a.py::test_a"] if counts else [])


def test_an_import_of_a_test_module_is_named_with_its_line() -> None:
    files = [source("", "tests/test_a.py"), source("\nfrom tests.test_a import x\n", "tests/helpers.py")]
    assert imports_of_tests(files) == ["tests/helpers.py:2 imports tests.test_a"]


def places(sources: Sequence[Source], window: int = 12) -> list[str]:
    return [str(place) for place in repeated_places(sources, window)]


def test_copied_lines_are_found_in_both_places_whatever_their_layout() -> None:
    first = source("import a\nx = f(1, 2)\ny = g(x, 3)\nz = 1\n")
    second = source('"""Text."""\nq = 7\nx = f(\n    1, 2)  # other\ny = g(x, 3)\n', "prune/plan/b.py")
    assert places([first, second]) == ["prune/plan/a.py:2-3", "prune/plan/b.py:3-5"]
    assert places([first, source(second.text.replace("3)", "4)"), "prune/plan/b.py")], 15) == []


def test_imports_and_docstrings_are_not_copies() -> None:
    text = "from a import (b, c, d, e, f, g, h)\n" + '"""Some words."""\n'
    assert places([source(text), source(text, "prune/plan/b.py")], 3) == []


def test_an_arrow_is_implied_by_a_longer_path() -> None:
    edges = {("a", "b"): 1, ("b", "c"): 1, ("a", "c"): 5, ("a", "d"): 1}
    assert without_implied(edges) == {("a", "b"), ("b", "c"), ("a", "d")}
    picture = draw(["a", "b", "c", "d"], dict.fromkeys("abcd", 10), {"a"}, edges)
    assert (picture.count("url(#dark)"), picture.count("url(#pale)")) == (3, 1)


def test_the_table_of_a_checkout_counts_what_it_lists(tmp_path: Path) -> None:
    (tmp_path / "prune/plan").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.importlinter.contracts]]\ntype = "layers"\nlayers = ["(prune.plan) | prune.graph", "prune.errors"]\n'
    )
    (tmp_path / "prune/plan/a.py").write_text("from prune import errors\n\ndef f(x: int) -> None:\n    pass\n")
    (tmp_path / "prune/errors.py").write_text("from prune.plan.a import f\n\ndef g(x):\n    pass\n")
    figures = measure(tmp_path)
    assert figures["rooms"] == {"plan": 4, "errors": 4}
    assert figures["places"]["upward imports"] == ["prune.errors:1 imports prune.plan.a"]
    rows = table(figures)
    assert "| upward imports | 1 |" in rows
    assert "| import circles | 1 |" in rows
    assert "| parameters with a type | 50.0% |" in rows
