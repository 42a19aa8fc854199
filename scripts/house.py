"""The structure of the code in figures: rooms, imports, lengths, types, documentation, tests, repeated places.

    python -m scripts.house [ROOT] [--json FILE] [--list]

ROOT: a checkout (default: this one). The limits of these figures are tests (tests/core/test_house.py).
"""

from __future__ import annotations

import argparse
import ast
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.house_copies import repeated_places
from scripts.house_imports import circles, import_graph, upward
from scripts.house_source import (
    PACKAGE,
    Source,
    functions,
    length,
    parameters,
    public,
    read_levels,
    read_limited,
    read_product,
    read_sources,
)
from scripts.house_tests import test_imports, tests_without_assertion

LONGEST_FUNCTION = 45
LONGEST_FILE = 250
REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=REPOSITORY, help="a checkout (default: this one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--list", action="store_true", help="name every place that is counted")
    args = parser.parse_args()
    figures = measure(args.root)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(table(figures)))
    if args.list:
        print("\n".join(f"{name}: {place}" for name, places in figures["places"].items() for place in places))


def measure(root: Path) -> dict[str, Any]:
    """All figures of a checkout; the key `places` lists the places behind the counts."""
    product, tests = read_product(root), read_sources(root, "tests")
    package = [source for source in product if source.path.startswith(f"{PACKAGE}/")]
    return {
        "rooms": room_lines(package),
        "functions": function_lengths(product),
        "typed_parameters": typed_share(product),
        "documented": documented_share(product),
        "lines": {"product": _lines(product), "tests": _lines(tests)},
        "places": {
            "upward imports": upward(package, read_levels(root)),
            "import circles": [" ↔ ".join(circle) for circle in circles(import_graph(package))],
            f"files over {LONGEST_FILE} lines": long_files(read_limited(root)),
            f"functions over {LONGEST_FUNCTION} lines": long_functions(read_limited(root) + tests),
            "tests without an assertion": tests_without_assertion(tests),
            "imports of test modules": test_imports(tests),
            "repeated places": [str(place) for place in repeated_places(product)],
        },
    }


def room_lines(package: Sequence[Source]) -> dict[str, int]:
    """Lines of each room, the largest first; each module directly in the package is a room."""
    lines: Counter[str] = Counter()
    for source in package:
        lines[source.room or "__init__"] += source.lines
    return dict(lines.most_common())


def function_lengths(sources: Sequence[Source]) -> dict[str, float]:
    """Number, median, ninth decile and maximum of the lengths of all functions, in lines."""
    lengths = sorted(length(function) for source in sources for function in functions(source.tree))
    ninth = statistics.quantiles(lengths, n=10, method="inclusive")[-1]
    return {"count": len(lengths), "median": statistics.median(lengths), "p90": ninth, "max": lengths[-1]}


def typed_share(sources: Sequence[Source]) -> float:
    """Fraction of all parameters that have a type."""
    found = [p for source in sources for function in functions(source.tree) for p in parameters(function)]
    return sum(parameter.annotation is not None for parameter in found) / len(found)


def documented_share(sources: Sequence[Source]) -> float:
    """Fraction of public functions, classes and methods that have a docstring."""
    found = [node for source in sources for node in public(source.tree)]
    return sum(ast.get_docstring(node) is not None for node in found) / len(found)


def long_files(sources: Sequence[Source]) -> list[str]:
    """Files that are too long: "path: lines"."""
    return [f"{source.path}: {source.lines}" for source in sources if source.lines > LONGEST_FILE]


def long_functions(sources: Sequence[Source]) -> list[str]:
    """Functions that are too long: "path::name: lines"."""
    found = [(source.path, function) for source in sources for function in functions(source.tree)]
    return [f"{path}::{f.name}: {length(f)}" for path, f in found if length(f) > LONGEST_FUNCTION]


def table(figures: dict[str, Any]) -> list[str]:
    """The figures as a Markdown table."""
    rooms, lengths, lines = figures["rooms"], figures["functions"], figures["lines"]
    largest = next(iter(rooms))
    rows = [
        ("rooms", f"{len(rooms)}"),
        ("largest room", f"{largest}, {rooms[largest]:,} lines, {rooms[largest] / sum(rooms.values()):.1%}"),
        ("lines of the package and the commands; of tests", f"{lines['product']:,}; {lines['tests']:,}"),
        ("functions", f"{lengths['count']:,}"),
        ("lines of a function: median, p90, max", f"{lengths['median']:g}, {lengths['p90']:g}, {lengths['max']}"),
        ("parameters with a type", f"{figures['typed_parameters']:.1%}"),
        ("public functions and classes with a docstring", f"{figures['documented']:.1%}"),
        *((name, f"{len(places)}") for name, places in figures["places"].items()),
    ]
    rooms_row = ", ".join(f"{room} {count:,}" for room, count in rooms.items())
    return ["| figure | value |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows), "", f"Lines: {rooms_row}."]


def _lines(sources: Sequence[Source]) -> int:
    return sum(source.lines for source in sources)


if __name__ == "__main__":
    main()
