"""The generator of the demo dataset."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from make_shapes import Settings, format_label, is_complete, main, make_shapes
from shape_pictures import NAMES, draw_picture

SMALL = Settings(train=6, valid=3, size=96, seed=5)


def _content(folder: Path) -> dict[str, bytes]:
    """Every file of a set by its relative path, but for those that name the folder itself."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {"train.txt", "valid.txt", "settings.json"}
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in named}


def test_every_listed_image_decodes_and_has_a_label_file(tmp_path: Path) -> None:
    make_shapes(tmp_path / "set", SMALL)
    for split, count in (("train", 6), ("valid", 3)):
        listed = (tmp_path / "set" / f"{split}.txt").read_text().split("\n")[:-1]
        assert len(listed) == count
        for line in listed:
            image = cv2.imread(line)
            assert image is not None
            assert image.shape == (96, 96, 3)
            label = Path(line.replace("/images/", "/labels/")).with_suffix(".txt")
            rows = np.loadtxt(label, ndmin=2)
            assert 1 <= len(rows) <= 5
            assert rows.shape[1] == 5


def test_the_same_seed_gives_the_same_files_and_another_seed_does_not(tmp_path: Path) -> None:
    make_shapes(tmp_path / "a", SMALL)
    make_shapes(tmp_path / "b", SMALL)
    make_shapes(tmp_path / "c", Settings(train=6, valid=3, size=96, seed=6))
    assert _content(tmp_path / "a") == _content(tmp_path / "b")
    assert _content(tmp_path / "a") != _content(tmp_path / "c")


def test_a_larger_set_contains_the_smaller_one(tmp_path: Path) -> None:
    make_shapes(tmp_path / "small", SMALL)
    make_shapes(tmp_path / "large", Settings(train=8, valid=4, size=96, seed=5))
    small, large = _content(tmp_path / "small"), _content(tmp_path / "large")
    assert small.items() <= large.items()


def test_a_complete_set_is_left_alone(tmp_path: Path) -> None:
    assert make_shapes(tmp_path / "set", SMALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")}
    assert not make_shapes(tmp_path / "set", SMALL)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")}


def test_a_set_that_lost_a_file_or_has_other_settings_is_made_anew(tmp_path: Path) -> None:
    out = tmp_path / "set"
    make_shapes(out, SMALL)
    (out / "images" / "train" / "train-00000.jpg").unlink()
    assert not is_complete(out, SMALL)
    assert make_shapes(out, SMALL)
    assert is_complete(out, SMALL)
    assert make_shapes(out, Settings(train=2, valid=1, size=96, seed=5))
    assert len(list((out / "images" / "train").iterdir())) == 2


def test_nothing_is_left_beside_the_set(tmp_path: Path) -> None:
    make_shapes(tmp_path / "set", SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_of_someone_else_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    assert main(["--out", str(tmp_path), "--train", "1", "--valid", "1"]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("arguments", [["--train", "0"], ["--size", "8"], ["--seed", "-1"], ["--colour", "red"]])
def test_wrong_usage_ends_with_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--out", str(tmp_path / "set"), *arguments])
    assert ended.value.code == 2
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("seed", range(20))
def test_boxes_lie_in_the_image_and_have_a_size(seed: int) -> None:
    picture = draw_picture(128, np.random.default_rng(seed))
    left, top, right, bottom = picture.boxes.T
    assert picture.image.dtype == np.uint8
    assert np.all((left >= 0) & (top >= 0) & (right <= 128) & (bottom <= 128))
    assert np.all((right - left >= 6) & (bottom - top >= 6))
    assert np.all((picture.classes >= 0) & (picture.classes < len(NAMES)))


def test_a_label_holds_the_box_normalised_to_the_image() -> None:
    picture = draw_picture(128, np.random.default_rng(3))
    rows = np.array([line.split() for line in format_label(picture).splitlines()], dtype=float)
    centre, extent = rows[:, 1:3] * 128, rows[:, 3:5] * 128
    np.testing.assert_allclose(np.hstack([centre - extent / 2, centre + extent / 2]), picture.boxes, atol=2e-4)
    np.testing.assert_array_equal(rows[:, 0], picture.classes)


def test_a_box_is_tight_around_what_can_be_seen_of_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without texture, scratches and noise a lone shape is all that differs from the background.
    monkeypatch.setattr("shape_pictures._texture", lambda size, rng, color, contrast: np.full((size, size, 3), color))
    monkeypatch.setattr("shape_pictures._draw_scratches", lambda image, rng: None)
    monkeypatch.setattr("shape_pictures._spoil", lambda image, rng: np.rint(image).astype(np.uint8))
    lone = 0
    for seed in range(30):
        picture = draw_picture(128, np.random.default_rng(seed))
        if len(picture.boxes) > 1:
            continue
        lone += 1
        difference = np.abs(picture.image.astype(float) - picture.image[0, 0]).sum(axis=2)
        rows, columns = np.nonzero(difference > 0.5 * difference.max())
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(picture.boxes[0] - seen).max() <= 1
    assert lone >= 3


def test_all_classes_and_sizes_occur() -> None:
    pictures = [draw_picture(160, np.random.default_rng([0, number])) for number in range(40)]
    classes = np.concatenate([picture.classes for picture in pictures])
    boxes = np.concatenate([picture.boxes for picture in pictures])
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    assert set(classes.tolist()) == {0, 1, 2}
    assert sides.min() < 24
    assert sides.max() > 50
