"""Tests without an assertion, which could not fail by what they check."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence

from scripts.house_source import Function, Source, functions, imported_modules

CHECKING = ("raises", "warns", "fail", "deprecated_call", "check_call")
"""Calls that check something: pytest's, and subprocess.check_call. Names beginning with `assert` also count."""


def is_test(source: Source) -> bool:
    """Whether it is a test module."""
    return source.path.rsplit("/", 1)[-1].startswith("test_")


def tests_without_assertion(sources: Sequence[Source]) -> list[str]:
    """Tests ("path::name") in which neither they nor the functions of the tests that they call assert anything.

    A called name is looked up in the test's module and in the modules of `sources` that it imports, one level deep;
    fixtures count as called.
    """
    known = {source.module: source for source in sources}
    asserting = {module: _asserting(source.tree) for module, source in known.items()}
    return [
        f"{source.path}::{test.name}"
        for source in filter(is_test, sources)
        for test in _tests_that_assert_nothing(source, asserting[source.module])
        if not _used(test) & set().union(*(asserting[m] for m in (source.module, *imported_modules(source, known))))
    ]


def test_imports(sources: Sequence[Source]) -> list[str]:
    """Imports of a test module by another file of the tests: "path:line imports module"."""
    known = {source.module: source for source in sources}
    return [
        f"{source.path}:{line} imports {module}"
        for source in sources
        for module, line in imported_modules(source, known).items()
        if is_test(known[module])
    ]


def _asserting(tree: ast.Module) -> set[str]:
    """The names of the functions that assert something themselves."""
    return {function.name for function in functions(tree) if _asserts(function)}


def _tests_that_assert_nothing(source: Source, asserting: Collection[str]) -> list[Function]:
    return [f for f in functions(source.tree) if f.name.startswith("test_") and f.name not in asserting]


def _asserts(function: Function) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(function)) or any(
        name in CHECKING or name.startswith("assert") for name in _called(function)
    )


def _used(function: Function) -> set[str]:
    """The functions it calls, and its fixtures."""
    return _called(function) | {parameter.arg for parameter in function.args.args}


def _called(function: Function) -> set[str]:
    """The names of the functions and methods that it calls."""
    return {name for node in ast.walk(function) if isinstance(node, ast.Call) for name in _name(node.func)}


def _name(called: ast.expr) -> list[str]:
    if isinstance(called, ast.Attribute):
        return [called.attr]
    return [called.id] if isinstance(called, ast.Name) else []
