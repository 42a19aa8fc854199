"""Pictures: colours, words, labels that stay inside and do not overlap, montages."""

from __future__ import annotations

import logging
import shutil
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prune.metrics.changes import find_changes
from prune.report import text
from prune.report.colours import class_colour, ink_on
from prune.report.draw import Mark, Tag, capital_height, draw_marks
from prune.report.label_placement import find_place
from prune.report.montage import compare_detections, draw_detections, flow, wrapped, write_picture
from prune.report.text import drawable_names, fitting_mask, text_mask

GREY = np.full((480, 640, 3), 128, np.uint8)
NAMES = ("cat", "dog", "tennis racket")


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where matplotlib is not installed."""
    monkeypatch.setattr(text, "_font_files", lambda: ())
    text.font_with.cache_clear()


@pytest.fixture(autouse=True)
def fresh_fonts() -> None:
    text.font_with.cache_clear()


def detections(rng: np.random.Generator, count: int, size_wh: tuple[int, int]) -> np.ndarray:
    corners = np.sort(rng.uniform(0, 1, (count, 2, 2)), axis=1) * size_wh
    return np.column_stack((corners.reshape(count, 4), rng.uniform(0.3, 1, count), rng.integers(0, 3, count)))


def test_the_colour_of_a_class_does_not_depend_on_earlier_calls() -> None:
    first = [class_colour(index) for index in range(5)]
    assert class_colour(300) != class_colour(301)
    assert [class_colour(index) for index in range(5)] == first == [class_colour(i) for i in (0, 1, 2, 3, 4)]


def test_eighty_classes_have_eighty_colours_and_the_first_are_far_apart() -> None:
    colours = [class_colour(index) for index in range(80)]
    assert len(set(colours)) == 80
    nearest = min(sum(abs(x - y) for x, y in zip(a, b, strict=True)) for a, b in combinations(colours[:8], 2))
    assert nearest > 120


def test_text_on_a_colour_is_black_or_white_whichever_has_more_contrast() -> None:
    assert ink_on((255, 255, 0)) == (0, 0, 0)
    assert ink_on((0, 0, 160)) == (255, 255, 255)


def test_labels_grow_with_the_picture() -> None:
    assert capital_height((640, 480)) >= 9
    assert capital_height((4000, 3000)) == pytest.approx(4000 / 640 * capital_height((640, 480)), rel=0.1)
    masks = [text_mask("cat", size) for size in (10, 40)]
    assert masks[1].shape[0] == pytest.approx(4 * masks[0].shape[0], rel=0.2)


@pytest.mark.parametrize("size_wh", [(100, 75), (7, 5), (1, 1), (30, 1000)])
def test_a_small_picture_is_enlarged_until_labels_can_be_read(size_wh: tuple[int, int]) -> None:
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    drawn = draw_marks(image, [Mark((0, 0, *size_wh), "cat 0.50", (255, 146, 0))])
    assert max(drawn.image.shape) >= 600
    (label,) = drawn.labels
    assert label[3] - label[1] >= 12


def test_a_picture_of_ordinary_size_keeps_it_and_the_original_is_not_drawn_on() -> None:
    drawn = draw_detections(GREY, detections(np.random.default_rng(0), 5, (640, 480)), NAMES)
    assert drawn.image.shape == GREY.shape
    assert (GREY == 128).all()
    assert (drawn.image != 128).any()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 40),
    st.sampled_from([(640, 480), (97, 640), (1200, 90), (100, 100), (800, 2), (3, 3)]),
)
def test_labels_are_inside_the_picture_and_never_overlap(seed: int, count: int, size_wh: tuple[int, int]) -> None:
    found = detections(np.random.default_rng(seed), count, size_wh)
    drawn = draw_detections(np.zeros((size_wh[1], size_wh[0], 3), np.uint8), found, NAMES)
    height, width = drawn.image.shape[:2]
    assert len(drawn.labels) + drawn.left_out == count
    for x0, y0, x1, y1 in drawn.labels:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
    for a, b in combinations(drawn.labels, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_a_label_sits_above_its_box_or_inside_where_there_is_no_room_above() -> None:
    assert find_place((50, 10), (100, 100, 200, 200), [], (640, 480)) == (100, 90, 150, 100)
    assert find_place((50, 10), (100, 5, 200, 200), [], (640, 480)) == (100, 5, 150, 15)


def test_a_label_without_a_free_place_is_left_out_and_counted() -> None:
    marks = [Mark((0, 0, 640, 480), "a" * 40, (255, 0, 0))] * 60
    drawn = draw_marks(GREY, marks)
    assert drawn.left_out == 60 - len(drawn.labels) > 0


def test_a_box_is_drawn_in_the_colour_of_its_class() -> None:
    drawn = draw_marks(GREY, [Mark((100, 200, 300, 400), "", class_colour(7))])
    assert tuple(drawn.image[300, 100]) == class_colour(7)
    assert tuple(drawn.image[300, 200]) == (128, 128, 128)


def test_a_dashed_box_has_gaps_and_a_plain_one_has_none() -> None:
    plain, dashed = (
        draw_marks(GREY, [Mark((100, 100, 400, 400), "", (255, 0, 0), line)]).image[:, 100]
        for line in ("plain", "dashed")
    )
    red = [(column[100:400] == (255, 0, 0)).all(axis=1).mean() for column in (plain, dashed)]
    assert red[0] == 1.0
    assert 0.3 < red[1] < 0.9


def test_a_long_name_is_shrunk_then_cut_but_fits() -> None:
    assert fitting_mask("a very long name of a class" * 5, 12, 100).shape[1] <= 100
    assert fitting_mask("cat", 12, 1000).shape == text_mask("cat", 12).shape
    mark = Mark((5, 5, 20, 20), "electroencephalographically " * 4, (255, 0, 0), tag=Tag("lost", (200, 0, 0)))
    (label,) = draw_marks(GREY, [mark]).labels
    assert label[2] <= 640


def test_without_fonts_accents_are_dropped_and_what_is_left_of_nothing_gets_its_number(
    no_fonts: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        shown = drawable_names(["cat", "Größe", "Łódź", "猫", "a\tb"])
    assert shown == ("cat", "Grosse", "Lodz", "class 3", "class 4")
    (line,) = caplog.messages
    assert "Größe as 'Grosse'" in line
    assert "matplotlib" in line


def test_with_a_font_a_name_is_kept_and_drawn_with_its_accents() -> None:
    pytest.importorskip("matplotlib")
    assert drawable_names(["Größe", "Кошка"]) == ("Größe", "Кошка")
    assert text_mask("Größe", 20).max() == 255
    assert text_mask("Größe", 20).shape[1] != text_mask("Grosse", 20).shape[1]


def test_a_letter_that_no_real_font_has_is_not_drawn_as_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    font_manager = pytest.importorskip("matplotlib.font_manager")
    folder = Path(font_manager.findfont("DejaVu Sans")).parent
    last_resort = [str(path) for path in folder.glob("LastResort*.ttf")]
    assert last_resort, "matplotlib includes one"
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: last_resort)
    text._font_files.cache_clear()
    try:
        assert drawable_names(["cat", "\U000e0041\ue000"]) == ("cat", "class 1")
    finally:
        text._font_files.cache_clear()


def test_a_font_is_found_that_was_installed_after_matplotlib_made_its_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    font_manager = pytest.importorskip("matplotlib.font_manager")
    known = Path(font_manager.findfont("DejaVu Sans"))
    new = shutil.copy(known, tmp_path / "new.ttf")
    bold = shutil.copy(known.with_name("DejaVuSans-Bold.ttf"), tmp_path / "bold.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    monkeypatch.setattr(font_manager, "findfont", lambda _: str(tmp_path / "broken.ttf"))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(bold), str(new)])
    text._font_files.cache_clear()
    try:
        assert text.font_with("Кошка") == str(new)
    finally:
        text._font_files.cache_clear()


def test_plain_names_are_drawn_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert drawable_names(NAMES) == NAMES
    assert not caplog.messages


def test_two_networks_stand_side_by_side_with_their_changes_marked() -> None:
    before = np.array([[50, 50, 150, 150, 0.9, 0], [300, 300, 400, 400, 0.8, 1]], np.float64)
    after = np.array([[52, 50, 150, 150, 0.7, 0], [500, 100, 600, 200, 0.6, 2]], np.float64)
    changes = find_changes(before, after)
    sheet = compare_detections(GREY, before, after, changes, NAMES, ("original: a.cfg", "pruned: b.cfg"))
    height, width = sheet.image.shape[:2]
    assert width > 2 * 640
    assert height > 480
    top = next(y for y in range(height) if (sheet.image[y, 5:600] == 128).all(axis=1).sum() > 300)
    left, right = sheet.image[top : top + 480, :640], sheet.image[top : top + 480, width - 640 :]
    assert (left[350:450, 350:500] == class_colour(1)).all(axis=2).any(), "the lost box is on the left"
    assert not (right[250:450, 250:450] == class_colour(1)).all(axis=2).any()
    assert (right[90:210, 490:610] == class_colour(2)).all(axis=2).any(), "the new one on the right"
    assert not (left[90:210, 490:610] == class_colour(2)).all(axis=2).any()


@pytest.mark.parametrize("size_wh", [(640, 480), (100, 60), (60, 100), (300, 3), (3, 300)])
def test_pictures_of_any_shape_can_be_put_side_by_side(size_wh: tuple[int, int]) -> None:
    found = detections(np.random.default_rng(1), 4, size_wh)
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    sheet = compare_detections(image, found, found, find_changes(found, found), NAMES, ("a" * 60, "b c " * 30))
    assert sheet.image.dtype == np.uint8


def test_a_strip_breaks_into_rows_and_shrinks_what_is_too_wide() -> None:
    items = [np.zeros((10, wide, 3), np.uint8) for wide in (80, 80, 500)]
    strip = flow(items, 150, 5)
    assert strip.shape[1] == 150
    assert strip.shape[0] >= 2 * 10, "the first two do not fit beside each other"


def test_text_is_broken_at_blanks() -> None:
    lines = wrapped("one two three four five six", 12, 120)
    assert " ".join(lines) == "one two three four five six"
    assert len(lines) > 1


def test_a_picture_is_written_as_rgb_in_the_format_of_its_name(tmp_path: Path) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:] = (255, 0, 0)
    write_picture(tmp_path / "ä" / "red.png", red)
    read = cv2.imdecode(np.frombuffer((tmp_path / "ä" / "red.png").read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert read is not None
    assert read[0, 0].tolist() == [0, 0, 255]
