"""Which rooms import which, which imports go upward, and which modules import each other in a circle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from scripts.house_source import Source, imported_modules

Graph = Mapping[str, Mapping[str, int]]


def import_graph(sources: Sequence[Source]) -> dict[str, dict[str, int]]:
    """module → imported module → line, among the sources."""
    known = {source.module: source for source in sources}
    return {source.module: imported_modules(source, known) for source in sources}


def room_edges(sources: Sequence[Source]) -> Counter[tuple[str, str]]:
    """(importing room, imported room) → how many imports of a module by another, excluding those within a room."""
    rooms = {source.module: source.room for source in sources}
    edges = ((rooms[a], rooms[b]) for a, targets in import_graph(sources).items() for b in targets)
    return Counter((a, b) for a, b in edges if a and b and a != b)


def upward(sources: Sequence[Source], levels: Sequence[Sequence[str]]) -> list[str]:
    """Imports of a room of the same or a higher level: "module:line imports module"."""
    depth = {room: number for number, level in enumerate(levels) for room in level}
    rooms = {source.module: source.room for source in sources}
    return [
        f"{a}:{line} imports {b}"
        for a, targets in import_graph(sources).items()
        for b, line in targets.items()
        if rooms[a] != rooms[b] and rooms[a] in depth and rooms[b] in depth and depth[rooms[b]] <= depth[rooms[a]]
    ]


def circles(graph: Graph) -> list[list[str]]:
    """Modules that import each other, directly or not (strongly connected, by mutual reachability)."""
    reach = {module: set(_reachable(graph, module)) for module in graph}
    found = {tuple(sorted(b for b in reach[a] if a in reach[b])) for a in graph if a in reach[a]}
    return [list(circle) for circle in sorted(found)]


def _reachable(graph: Graph, start: str) -> Iterator[str]:
    seen, queue = set[str](), list(graph.get(start, ()))
    while queue:
        module = queue.pop()
        if module not in seen:
            seen.add(module)
            yield module
            queue += graph.get(module, ())
