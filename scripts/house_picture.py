"""Draws docs/house.svg: the rooms of the package as layers, their sizes, and what each room imports.

    python -m scripts.house_picture [FILE]

A room is drawn above all rooms that it imports; the length of its bar shows its lines of code, and arrows lead to what
it imports. Arrows that are not implied by a chain of others are dark, the others pale.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from scripts.house import REPOSITORY, room_lines
from scripts.house_imports import room_edges
from scripts.house_source import PACKAGE, imports_torch, read_levels, read_sources

PICTURE = REPOSITORY / "docs" / "house.svg"
WIDTH, ROW, TOP, BOTTOM = 860, 36, 78, 46
BAR_LEFT, BAR_WIDTH, ARROWS_LEFT, REACH = 120, 300, 490, 19
INK, MUTED, DARK, PALE = "#1f2933", "#616e7c", "#3e4c59", "#d3dae2"
WITHOUT_TORCH, WITH_TORCH = "#2f7f9f", "#c96a3d"
Edge = tuple[str, str]


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    path.write_text(picture(REPOSITORY), encoding="utf-8")
    print(f"wrote {path}")


def picture(root: Path) -> str:
    """The SVG of a checkout."""
    sources = read_sources(root, PACKAGE)
    lines = room_lines(sources)
    order = [room for level in read_levels(root) for room in level if room in lines]
    torch = {source.room for source in sources if imports_torch(source)}
    edges = {edge: count for edge, count in room_edges(sources).items() if set(edge) <= set(order)}
    return draw(order, lines, torch, edges)


def draw(order: Sequence[str], lines: Mapping[str, int], torch: Collection[str], edges: Mapping[Edge, int]) -> str:
    """The SVG of rooms from top to bottom, with their lines, their use of torch, and their imports."""
    height = TOP + ROW * len(order) + BOTTOM
    direct = without_implied(edges)
    arrows = sorted(edges, key=lambda edge: edge in direct)  # the dark ones are drawn last
    rows = {room: TOP + ROW * number + ROW // 2 for number, room in enumerate(order)}
    largest = max(lines[room] for room in order)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'role="img" aria-label="Rooms of the package and their imports">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _marker("dark", DARK),
        _marker("pale", PALE),
        *_heading(),
        *(_room(room, rows[room], lines[room], largest, room in torch) for room in order),
        *(_arrow(rows[a], rows[b], edges[a, b], (a, b) in direct) for a, b in arrows),
        _text(16, height - 18, "Imports go downward only. Dark arrows: imports that no chain of others implies."),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def without_implied(edges: Collection[Edge]) -> set[Edge]:
    """The edges (without circles) that are not implied by a longer path along other edges."""
    targets: dict[str, set[str]] = {}
    for a, b in edges:
        targets.setdefault(a, set()).add(b)
    return {(a, b) for a, b in edges if not any(_leads(targets, via, b) for via in targets[a] - {b})}


def _leads(targets: Mapping[str, set[str]], start: str, end: str) -> bool:
    return start == end or any(_leads(targets, step, end) for step in targets.get(start, ()))


def _heading() -> list[str]:
    return [
        _text(16, 30, "prune/: rooms, from the commands down", size=17, fill=INK),
        f'<rect x="16" y="46" width="12" height="12" fill="{WITHOUT_TORCH}"/>',
        _text(34, 57, "no torch import"),
        f'<rect x="160" y="46" width="12" height="12" fill="{WITH_TORCH}"/>',
        _text(178, 57, "imports torch"),
        _text(ARROWS_LEFT - 8, 57, "imports", anchor="start"),
    ]


def _room(room: str, y: int, lines: int, largest: int, torch: bool) -> str:
    width = max(2, round(BAR_WIDTH * lines / largest))
    bar = f'<rect x="{BAR_LEFT}" y="{y - 10}" width="{width}" height="20" rx="2" fill="{_colour(torch)}"/>'
    name = _text(BAR_LEFT - 10, y + 5, room, size=14, fill=INK, anchor="end")
    return name + bar + _text(BAR_LEFT + width + 6, y + 4, f"{lines:,}")


def _colour(torch: bool) -> str:
    return WITH_TORCH if torch else WITHOUT_TORCH


def _arrow(start: int, end: int, count: int, dark: bool) -> str:
    """An arrow from just below the middle of a row to just above that of a lower one; farther means wider."""
    y1, y2, kind = start + 4, end - 4, "dark" if dark else "pale"
    reach = ARROWS_LEFT + REACH * (end - start) / ROW + 16
    way = f"M{ARROWS_LEFT} {y1} C{reach:.0f} {y1} {reach:.0f} {y2} {ARROWS_LEFT + 7} {y2}"
    width = min(3.0, 0.8 + count / 20)
    colour = DARK if dark else PALE
    return f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="{width:.1f}" marker-end="url(#{kind})"/>'


def _marker(name: str, colour: str) -> str:
    shape = f'<path d="M0 0 L8 4 L0 8 z" fill="{colour}"/>'
    size = 'markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse"'
    return f'<marker id="{name}" {size} refX="1" refY="4" orient="auto">{shape}</marker>'


def _text(x: int, y: int, text: str, size: int = 12, fill: str = MUTED, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    main()
