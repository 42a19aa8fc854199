"""Repeated places: runs of tokens that occur in the code more than once.

Comments, docstrings, imports and line breaks do not count; names and numbers do, so that only copied code is found, not
code that is merely similar.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scripts.house_source import Source

WINDOW = 40
"""In tokens: about four lines of code."""
IGNORED = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
    tokenize.ENCODING,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Lines of a file, first and last, whose tokens also occur elsewhere."""

    path: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.path}:{self.first}-{self.last}"


def repeated_places(sources: Sequence[Source], window: int = WINDOW) -> list[Place]:
    """The longest runs in which each window of tokens occurs elsewhere too."""
    tokens = {source.path: list(_tokens(source)) for source in sources}
    seen: defaultdict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for path, found in tokens.items():
        for start in range(len(found) - window + 1):
            seen[tuple(text for text, _ in found[start : start + window])].append((path, start))
    repeated = sorted(place for places in seen.values() if len(places) > 1 for place in places)
    return [
        Place(path, tokens[path][first][1], tokens[path][last + window - 1][1]) for path, first, last in _runs(repeated)
    ]


def _runs(starts: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int, int]]:
    """Neighbouring starts joined: path, first and last start."""
    first = previous = None
    for start in starts:
        if first is None or previous is None or start != (previous[0], previous[1] + 1):
            if first is not None and previous is not None:
                yield (*first, previous[1])
            first = start
        previous = start
    if first is not None and previous is not None:
        yield (*first, previous[1])


def _tokens(source: Source) -> Iterator[tuple[str, int]]:
    skipped = _uncounted_lines(source.tree)
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type not in IGNORED and token.start[0] not in skipped:
            yield token.string, token.start[0]


def _uncounted_lines(tree: ast.Module) -> set[int]:
    """The lines of imports and of string statements (docstrings)."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node)]
    return {line for node in nodes for line in range(node.lineno, (node.end_lineno or 0) + 1)}  # type: ignore[attr-defined]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
