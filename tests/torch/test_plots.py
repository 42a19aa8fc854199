"""Pictures of an evaluation: precision over recall, confusion, the worst images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from prune.errors import UsageError
from prune.metrics.confusion import Confusion
from prune.metrics.findings import Findings
from prune.metrics.operating_point import ClassCurve, OperatingPoint
from prune.metrics.worst_images import WorstImage
from prune.report import plots
from prune.report.plots import MATRIX_CLASSES, PLOTS, save_plots
from prune.report.worst import SHOWN, worst_sheet
from tests.torch.sample_files import write_image

PROTOCOL = "darknet, 101 points, 4,952 images, 416x416 letterbox, conf 0.005, nms 0.45, difficult left out"


def curve(name: str, rng: np.random.Generator, objects: int = 20) -> ClassCurve:
    hits = rng.random(30) < 0.5
    recall, precision = hits.cumsum() / 30, hits.cumsum() / np.arange(1, 31)
    best = OperatingPoint(0.4, 10, 5, 10) if objects else None
    return ClassCurve(name, objects, 0.5 if objects else None, best, recall, precision, np.linspace(1, 0, 30))


def make_findings(names: list[str], worst: tuple[WorstImage, ...] = (), **changes: Any) -> Findings:
    rng = np.random.default_rng(0)
    confusion = Confusion(tuple(names), rng.integers(0, 2000, (len(names) + 1,) * 2), 0.4, 0.5)
    curves = tuple(curve(name, rng, objects=20 if number % 3 else 7) for number, name in enumerate(names))
    values: dict[str, Any] = {
        "curves": curves,
        "overall": OperatingPoint(0.4, 10, 5, 10),
        "sizes": {},
        "confusion": confusion,
    }
    return Findings(protocol=PROTOCOL, worst=worst, **(values | changes))


def worst_image(path: Path, size_wh: tuple[int, int]) -> WorstImage:
    boxes = np.array([[1, 1, size_wh[0] / 2, size_wh[1] / 2]], np.float64)
    found = np.array([[2, 2, size_wh[0], size_wh[1], 0.8, 1]], np.float64)
    return WorstImage(
        write_image(path, size_wh),
        1,
        size_wh,
        found,
        np.array([False]),
        boxes,
        np.array([0]),
        np.array([True]),
        "x " * 60,
    )


def texts(figure: Any) -> list[Any]:
    from matplotlib.text import Text

    figure.canvas.draw()
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def assert_nothing_cut_off(figure: Any) -> None:
    for text in texts(figure):
        box, whole = text.get_window_extent(), figure.bbox
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= whole.x1 + 1, text
        assert box.y1 <= whole.y1 + 1, text


ODD_NAMES = ["RBC", "$x_1$", "_hidden", "a class with a rather long name", "Größe"]
MANY_NAMES = [f"class number {number}" for number in range(80)]


@pytest.mark.parametrize("names", [["one"], ODD_NAMES, MANY_NAMES], ids=["one", "odd", "many"])
def test_the_three_pictures_are_written(names: list[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    worst = (worst_image(tmp_path / "in" / "a.png", (40, 20)),)
    two = [*names, "another"]
    paths = save_plots(make_findings(two, worst), tmp_path / "out")
    assert [path.name for path in paths] == list(PLOTS)
    for path in paths:
        image = cv2.imread(str(path))
        assert image is not None
        assert min(image.shape[:2]) > 100
        assert image.std() > 1


@pytest.mark.parametrize("names", [["one"], ODD_NAMES, MANY_NAMES], ids=["one", "odd", "many"])
def test_no_word_of_a_plot_is_cut_off(names: list[str]) -> None:
    pytest.importorskip("matplotlib")
    findings = make_findings(names)
    assert_nothing_cut_off(plots._curves_figure(findings, names))
    assert_nothing_cut_off(plots._confusion_figure(findings, names))


def test_names_are_shown_unchanged_and_not_parsed_as_formulas() -> None:
    pytest.importorskip("matplotlib")
    shown = [text.get_text() for text in texts(plots._curves_figure(make_findings(ODD_NAMES), ODD_NAMES))]
    for name in ODD_NAMES:
        assert any(text.startswith(f"{name}  ") for text in shown), name


def test_classes_without_objects_have_no_curve() -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    curves = (curve("here", rng), curve("absent", rng, objects=0))
    shown = [
        text.get_text()
        for text in texts(plots._curves_figure(make_findings(["here", "absent"], curves=curves), ["here", "absent"]))
    ]
    assert any("here" in text for text in shown)
    assert not any("absent" in text for text in shown)


def test_a_network_that_finds_nothing_still_has_its_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    none = np.zeros(0)
    empty = make_findings(
        ["a", "b"],
        curves=(ClassCurve("a", 3, 0.0, None, none, none, none), ClassCurve("b", 0, None, None, none, none, none)),
        overall=None,
        confusion=Confusion(("a", "b"), np.zeros((3, 3), np.int64), 0.25, 0.5),
    )
    assert [path.name for path in save_plots(empty, tmp_path)] == list(PLOTS[:2])


def test_the_rest_of_many_classes_is_summed_up_and_none_is_lost() -> None:
    findings = make_findings(MANY_NAMES)
    counts, labels = plots._largest(findings.confusion, MANY_NAMES)
    assert len(labels) == len(counts) == MATRIX_CLASSES + 2
    assert counts.sum() == findings.confusion.counts.sum()
    assert counts[-1].sum() == findings.confusion.counts[-1].sum(), "false positives stay false positives"
    assert labels[-2] == f"{80 - MATRIX_CLASSES} others"


def test_without_matplotlib_one_line_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    assert not plots.available()
    with pytest.raises(UsageError, match="pip install matplotlib"):
        save_plots(make_findings(["a"]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_worst_images_are_in_two_columns_and_a_lost_one_is_reported(tmp_path: Path) -> None:
    sizes = [(640, 480), (10, 300), (300, 10), (4000, 30)]
    worst = [worst_image(tmp_path / f"{number}.png", size) for number, size in enumerate(sizes)]
    worst[0].image.unlink()
    sheet = worst_sheet(worst, ["cat", "dog"], 0.4)
    assert sheet.shape[1] > 2 * 640
    longer = worst_sheet([*worst, *worst, *worst, *worst], ["cat", "dog"], 0.4)
    assert longer.shape[0] <= 3 * sheet.shape[0] + 100, f"no more than {SHOWN} are shown"
