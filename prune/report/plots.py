"""Findings of an evaluation as PNG files: precision over recall, the confusion matrix, the worst images.

matplotlib (the extra `report`) is imported only when something is plotted, without pyplot: no window, no state.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.errors import UsageError
from prune.files.writing import atomic_write
from prune.metrics.confusion import Confusion
from prune.metrics.findings import Findings
from prune.metrics.operating_point import ClassCurve
from prune.report.colours import class_colour
from prune.report.montage import write_picture
from prune.report.tables import format_cell
from prune.report.text import drawable_names, font_with
from prune.report.worst import worst_sheet

PLOTS = ("pr_curves.png", "confusion.png", "worst.png")
MISSING = "plots need matplotlib, which is not installed: pip install matplotlib"
NAMED_CURVES = 12
"""With more classes than this, only those with most objects are named."""
_DASHES = ("-", (0, (6, 1)), (0, (5, 1, 1, 1)))
"""Used in turn, to distinguish classes of similar colours."""
MATRIX_CLASSES = 16
"""With more classes than this, the rest is summed up, so that cells are readable."""
_DPI = 150


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def save_plots(findings: Findings, out: Path) -> list[Path]:
    """Write PLOTS into `out` and return their paths; the picture of the worst images only where there are any.

    Raises UsageError (MISSING) without matplotlib.
    """
    if not available():
        raise UsageError(MISSING)
    curves, matrix, worst = (out / name for name in PLOTS)
    names = drawable_names([curve.name for curve in findings.curves])
    _save(_curves_figure(findings, names), curves)
    _save(_confusion_figure(findings, names), matrix)
    if not findings.worst:
        return [curves, matrix]
    write_picture(worst, worst_sheet(findings.worst, names, findings.confusion.conf))
    return [curves, matrix, worst]


def _save(figure: Any, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    atomic_write(path, content.getvalue())


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _curves_figure(findings: Findings, names: Sequence[str]) -> Any:
    shown = [(number, curve) for number, curve in enumerate(findings.curves) if curve.objects]
    named = _named(shown)
    figure = _figure(8, 6.4 + 0.28 * (len(named) // 2 + 1))
    axes = figure.subplots()
    lines: list[tuple[Any, str]] = []
    for number, curve in shown:
        line = _curve(axes, number, curve, _DASHES[len(lines) % len(_DASHES)] if number in named else None)
        if number in named:
            lines.append((line, f"{names[number]}  {format_cell(curve.ap)}"))
    if len(shown) > 1:
        lines.append((_mean_curve(axes, [curve for _, curve in shown]), "mean of all classes"))
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.set(xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    _title(
        figure,
        f"Precision over recall, IoU {findings.confusion.iou:g}",
        [*_protocol_lines(findings.protocol, 7), _working_point(findings)],
    )
    _legend(figure, lines, _legend_title(findings.protocol.split(",")[0], len(shown), len(named)))
    return figure


def _named(shown: Sequence[tuple[int, ClassCurve]]) -> set[int]:
    """The classes that get a colour and a name: those with most objects."""
    return {number for number, _ in sorted(shown, key=lambda item: -item[1].objects)[:NAMED_CURVES]}


def _curve(axes: Any, number: int, curve: ClassCurve, dashes: Any | None) -> Any:
    """One class's curve, grey where it has no `dashes`; a dot marks its best F1."""
    from matplotlib.patheffects import Normal, Stroke

    if dashes is None:
        return axes.plot(curve.recall, curve.precision, color="0.8", linewidth=0.8, zorder=1)[0]
    colour = tuple(value / 255 for value in class_colour(number))
    rim = [Stroke(linewidth=3.2, foreground="0.25"), Normal()]  # light colours are hardly visible on white
    (line,) = axes.plot(curve.recall, curve.precision, color=colour, linewidth=2.2, path_effects=rim, zorder=2)
    line.set(linestyle=dashes, dash_capstyle="butt")
    if curve.best is not None:
        place = [curve.best.recall], [curve.best.precision]
        axes.plot(*place, "o", color=colour, markeredgecolor="0.1", markersize=8, zorder=3, clip_on=False)
    return line


def _mean_curve(axes: Any, curves: Sequence[ClassCurve]) -> Any:
    """Mean over the classes of the best precision at each recall or beyond it: the curve whose area is AP."""
    grid = np.linspace(0, 1, 101)
    best = [[curve.precision[curve.recall >= at].max(initial=0.0) for at in grid] for curve in curves]
    return axes.plot(grid, np.mean(best, axis=0), "--", color="black", linewidth=2.2, zorder=2.5)[0]


def _legend_title(protocol: str, shown: int, named: int) -> str:
    which = (
        f"AP ({protocol}) per class"
        if named == shown
        else f"AP ({protocol}) of the {named} most frequent of {shown} classes (others grey)"
    )
    return f"{which}; dot: best F1"


def _legend(figure: Any, lines: Sequence[tuple[Any, str]], title: str) -> None:
    """Below the axes. Names are set afterwards, since a legend leaves out those that begin with `_`."""
    if not lines:
        return
    handles = [line for line, _ in lines]
    legend = figure.legend(
        handles, ["?"] * len(handles), loc="outside lower center", ncols=2, fontsize=12, title=title, title_fontsize=11
    )
    for text, (_, name) in zip(legend.get_texts(), lines, strict=True):
        text.set_text(name)
    _dress(legend.get_texts())


def _working_point(findings: Findings) -> str:
    best = findings.overall
    if best is None:
        return "no detection matches an object"
    point = f"best F1 {best.f1:.3f} at score {best.threshold:.3f}"
    return f"{point}: precision {best.precision:.3f}, recall {best.recall:.3f}"


def _confusion_figure(findings: Findings, names: Sequence[str]) -> Any:
    confusion = findings.confusion
    counts, labels = _largest(confusion, names)
    size = len(labels)
    side, font = max(5.5, 0.55 * size + 2.5), 12 if size <= 10 else 17
    figure = _figure(side + 0.5, side + 0.7)
    axes = figure.subplots()
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(size), ["missed" if i == size - 1 else name for i, name in enumerate(labels)], rotation=90)
    axes.set_yticks(range(size), ["false positive" if i == size - 1 else name for i, name in enumerate(labels)])
    axes.tick_params(labelsize=font, length=0)
    axes.set_xlabel("detected as", fontsize=font)
    axes.set_ylabel("true class", fontsize=font)
    _dress([*axes.get_xticklabels(), *axes.get_yticklabels()])
    for i, j in np.argwhere(counts):
        ink = "white" if shares[i, j] > 0.55 else "black"
        axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", color=ink, fontsize=_cell_font(counts))
    note = f"score {confusion.conf:.3f} or more, IoU {confusion.iou:g}; colour: share of the row"
    _title(
        figure,
        "Confusion matrix",
        [*_protocol_lines(findings.protocol, side * 11 / max(font, 11)), note],
        max(font, 11),
    )
    return figure


def _cell_font(counts: NDArray[np.int64]) -> float:
    """Font size in points at which the longest number fits a cell of about 36 points; a digit is about 0.64 em wide."""
    return min(15.0, 34.0 / 0.64 / len(str(int(counts.max(initial=0)))))


def _largest(confusion: Confusion, names: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """The matrix and its labels, at most MATRIX_CLASSES single classes: those with most objects and detections; the
    rest is summed up as `others`, before the background."""
    counts, classes = confusion.counts, len(names)
    if classes <= MATRIX_CLASSES:
        return counts, [*names, ""]
    weight = (counts.sum(axis=0) + counts.sum(axis=1))[:classes]
    own = np.sort(np.argsort(-weight, kind="stable")[:MATRIX_CLASSES])
    groups = np.full(classes + 1, len(own))
    groups[own], groups[classes] = np.arange(len(own)), len(own) + 1
    merged = np.zeros((len(own) + 2, len(own) + 2), np.int64)
    np.add.at(merged, (groups[:, None], groups[None, :]), counts)
    return merged, [*(names[i] for i in own), f"{classes - len(own)} others", ""]


def _protocol_lines(protocol: str, side: float) -> list[str]:
    """The protocol in lines that fit a figure `side` inches wide."""
    lines, room = [""], int(side * 11)
    for part in protocol.split(", "):
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        lines = [*lines[:-1], longer] if len(longer) <= room else [*lines, part]
    return lines


def _title(figure: Any, title: str, notes: Iterable[str], font: int = 11) -> None:
    """Above the figure from its left edge, whatever room the class names take below."""
    text = title + "".join(f"\n{note}" for note in notes)
    figure.suptitle(text, fontsize=font, x=0.01, ha="left", parse_math=False)


def _dress(texts: Iterable[Any]) -> None:
    """Class names are not parsed as formulas, and each is set in a font that has its letters."""
    from matplotlib.font_manager import FontProperties

    for text in texts:
        text.set_parse_math(False)
        font = None if text.get_text().isascii() else font_with(text.get_text())
        if font:
            text.set_fontproperties(FontProperties(fname=font, size=text.get_fontsize()))
