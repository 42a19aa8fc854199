"""results.png: the table of a training run as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from prune.report.line_chart import HEIGHT, WIDTH, Chart, Curve, draw_chart
from prune.report.panel import blank, write
from prune.samples.images import Image

LOSSES, METRICS, RATES = ("loss", "box", "obj", "cls", "distill"), ("ap50", "ap", "ap75"), ("lr", "s")
SHARES, CHOSEN = "gamma<", "chosen"
LARGEST = 1e12
_HEAD = 34
Row = Mapping[str, str]


def results_sheet(rows: Sequence[Row]) -> Image:
    """RGB: charts of the losses, AP, learning rate and γ shares over the epochs, as far as `rows` contain them."""
    charts = [chart for chart in _charts(rows) if any(len(curve.x) for curve in chart.curves)]
    cells = [draw_chart(chart) for chart in charts]
    if len(cells) % 2:
        cells.append(blank(WIDTH, HEIGHT))
    lines = [np.concatenate(cells[at : at + 2], axis=1) for at in range(0, len(cells), 2)]
    head = blank(2 * WIDTH, _HEAD)
    write(head, _heading(rows), 16, _HEAD / 2)
    return np.concatenate([head, *lines])


def _charts(rows: Sequence[Row]) -> list[Chart]:
    columns = dict.fromkeys(key for row in rows for key in row)
    shares = [name for name in columns if name.startswith(SHARES)]
    span = float(rows[0]["epoch"]), float(rows[-1]["epoch"])

    def curves(names: Sequence[str]) -> list[Curve]:
        return [_curve(rows, name) for name in names if name in columns]

    steered = "s" in columns
    rates = [_positive(curve) if steered else curve for curve in curves(RATES)]
    return [
        Chart("loss, mean per epoch", curves(LOSSES), True, span),
        Chart("average precision", curves(METRICS), False, span),
        Chart("learning rate and strength s" if steered else "learning rate", rates, steered, span),
        Chart("share of the gammas", curves([*shares, CHOSEN]), False, span, (0.0, 1.0)),
    ]


def _curve(rows: Sequence[Row], name: str) -> Curve:
    """A column over the epochs, without empty cells and values that no axis can show."""
    points = [(float(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
    x, y = np.array(points, np.float64).reshape(-1, 2).T
    finite = np.abs(y) < LARGEST  # False for NaN
    return Curve(name.removeprefix("gamma"), x[finite], y[finite])


def _positive(curve: Curve) -> Curve:
    """What a logarithmic axis can show: s is 0 until channels are chosen."""
    return Curve(curve.name, curve.x[curve.y > 0], curve.y[curve.y > 0])


def _heading(rows: Sequence[Row]) -> str:
    found = _curve(rows, "ap50")
    if not len(found.x):
        return f"after epoch {rows[-1]['epoch']}"
    best = int(found.y.argmax())
    return f"after epoch {rows[-1]['epoch']}: highest AP50 {found.y[best]:.4g} in epoch {found.x[best]:g}"
