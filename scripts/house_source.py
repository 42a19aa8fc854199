"""The project's Python files as syntax trees: their functions, public names and imports."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
PACKAGE = "prune"
BESIDE = ("benchmarks", "scripts", "data")


@dataclass(frozen=True)
class Source:
    """A Python file; path: relative to the root, with slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, self.path)

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.text.splitlines())

    @property
    def module(self) -> str:
        """Its dotted name; that of a package for `__init__.py`."""
        parts = self.path.removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """The package or module directly below `prune` that it belongs to; "" outside of it."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == PACKAGE and len(parts) > 1 else ""


def read_sources(root: Path, folder: str) -> list[Source]:
    """All Python files below a folder of the root; for the root itself ("."), only those directly in it."""
    found = (root / folder).glob("*.py" if folder == "." else "**/*.py")
    return [Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in sorted(found)]


def read_product(root: Path) -> list[Source]:
    """The product that users run: the package and the commands."""
    return read_sources(root, PACKAGE) + read_sources(root, ".")


def read_limited(root: Path) -> list[Source]:
    """All files to which the limits on lengths apply: everything except tests."""
    return read_product(root) + [source for folder in BESIDE for source in read_sources(root, folder)]


def functions(tree: ast.AST) -> list[Function]:
    """All functions and methods, including nested ones."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(function: Function) -> int:
    """Lines from `def` to the last one, with docstring, without decorators."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def public(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    """Functions and classes of a module and methods of its classes whose names do not begin with an underscore."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (n for n in node.body if isinstance(n, Function) and not n.name.startswith("_"))


def parameters(function: Function) -> list[ast.arg]:
    """The parameters, without self and cls."""
    found = function.args
    named = [*found.posonlyargs, *found.args, *found.kwonlyargs, *filter(None, (found.vararg, found.kwarg))]
    return [parameter for parameter in named if parameter.arg not in ("self", "cls")]


def imported_modules(source: Source, known: Mapping[str, Source]) -> dict[str, int]:
    """The modules among `known` that a source imports anywhere in it, each with the line of its first import."""
    found: dict[str, int] = {}
    for node in ast.walk(source.tree):
        for name in _imported_names(node, source):
            target = name if name in known else name.rpartition(".")[0]
            if target in known and target != source.module:
                found.setdefault(target, node.lineno)  # type: ignore[attr-defined]  # only imports have names
    return found


def imports_torch(source: Source) -> bool:
    """Whether it imports torch, anywhere in it."""
    names = (name for node in ast.walk(source.tree) for name in _imported_names(node, source))
    return any(name.partition(".")[0] == "torch" for name in names)


def _imported_names(node: ast.AST, source: Source) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = source.module.split(".") + ([""] if source.path.endswith("__init__.py") else [])
            base = ".".join([*parts[: -node.level], *([base] if base else [])])
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def read_levels(root: Path) -> list[list[str]]:
    """The rooms of each level, top to bottom, from the layers contract in `pyproject.toml`."""
    with (root / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers: Sequence[str] = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    levels = [[name.strip(" ()").removeprefix(f"{PACKAGE}.") for name in layer.split("|")] for layer in layers]
    return levels
