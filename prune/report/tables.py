"""Plain text tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prune.report.visible import visible

NETWORK_ROWS = ("parameters", "bflops", "weights_bytes", "channels", "layers", "ap", "ap50", "ap75")


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """`rows` under `header`: columns of numbers to the right, columns of text to the left; no final newline.

    None is shown as `-`.
    """
    texts = [[format_cell(cell) for cell in row] for row in rows]
    header = [format_cell(cell) for cell in header]
    widths = [max(len(line[i]) for line in [header, *texts]) for i in range(len(header))]
    right = [all(isinstance(row[i], (int, float, type(None))) for row in rows) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *texts]
    return "\n".join(_format_line(line, widths, right) for line in lines)


def _format_line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    aligned = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
    return "  ".join(aligned).rstrip()


def format_cell(value: object) -> str:
    """Whole numbers with thousands separators, others with four decimals or, if small, an exponent; text with its
    control characters made visible."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return visible(str(value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if value == 0 or abs(value) >= 5e-4 else f"{value:.2e}"


def format_before_after(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """The fields of summary.json's `before` and `after` side by side, with the change in percent."""
    rows = [
        [name, before.get(name), after.get(name), _change(before.get(name), after.get(name))]
        for name in NETWORK_ROWS
        if name in before or name in after
    ]
    return format_table(["", "before", "after", "change"], rows)


def _change(before: object, after: object) -> str:
    if not (isinstance(before, (int, float)) and isinstance(after, (int, float)) and before):
        return ""
    return f"{100 * (after - before) / before:+.1f} %"
