"""What a benchmark found, as a table, as CSV and as facts for summary.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prune.metrics.csv_text import csv_text
from prune.report.tables import format_table

HEADER = ("runtime", "network", "parameters", "BFLOPs", "ms", "quartiles", "speed-up", "peak MB", "difference", "")
RATIOS = ("runtime", "network", "speed-up", "BFLOP reduction", "speed-up / reduction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A network in a runtime. Milliseconds per run: median and quartiles. `difference`: max|a−b| / max|b| of its
    outputs from ours. `speedup`: the first network's median in the same runtime / its own; `bflops_reduction`: the
    first network's BFLOPs / its own. What was not measured (`failure` says why) or is not known is None."""

    runtime: str
    network: str
    parameters: int
    bflops: float
    precision: str | None = None
    milliseconds: float | None = None
    first_quartile: float | None = None
    third_quartile: float | None = None
    load_seconds: float | None = None
    peak_bytes: int | None = None
    difference: float | None = None
    speedup: float | None = None
    bflops_reduction: float | None = None
    failure: str | None = None

    @property
    def efficiency(self) -> float | None:
        """How much of the saved operations became time: 1 is all of them; None where there is no other network."""
        if self.speedup is None or not self.bflops_reduction:
            return None
        return self.speedup / self.bflops_reduction


def quartiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile, in milliseconds."""
    low, median, high = (1000 * np.percentile(seconds, (25, 50, 75))).tolist()
    return low, median, high


def latency_table(rows: Sequence[Latency]) -> str:
    """A row per network and runtime, and for all networks but the first what the saved operations brought."""
    tables = [format_table(HEADER, [_cells(row) for row in rows])]
    if ratios := list(_ratios(rows)):
        tables.append(format_table(RATIOS, ratios))
    tables += [f"note: {text}" for text in precision_notes(rows)]
    return "\n\n".join(tables)


def latency_csv(rows: Sequence[Latency]) -> str:
    """One line per network and runtime."""
    names = list(Latency.__dataclass_fields__)
    return csv_text([names, *([getattr(row, name) for name in names] for row in rows)])


def precision_notes(rows: Sequence[Latency]) -> list[str]:
    """A line for each runtime that does not compute in float32."""
    found = dict.fromkeys((row.runtime, row.precision) for row in rows if row.precision not in (None, "f32"))
    return [f"{runtime} computes in {precision} on this processor" for runtime, precision in found]


def _cells(row: Latency) -> list[object]:
    spread = None if row.first_quartile is None else f"{row.first_quartile:.2f}-{row.third_quartile:.2f}"
    return [
        row.runtime,
        row.network,
        row.parameters,
        row.bflops,
        _fixed(row.milliseconds, 2),
        spread or "",
        _fixed(row.speedup, 2, "x"),
        None if row.peak_bytes is None else round(row.peak_bytes / 1e6),
        None if row.difference is None else f"{row.difference:.1e}",
        row.failure or "",
    ]


def _ratios(rows: Sequence[Latency]) -> Iterator[list[object]]:
    for row in rows:
        if row.efficiency is not None:
            values = row.speedup, row.bflops_reduction, row.efficiency
            yield [row.runtime, row.network, *(_fixed(value, 2) for value in values)]


def _fixed(value: float | None, digits: int, unit: str = "") -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"
