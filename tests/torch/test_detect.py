"""detect.py: what --source names, what is written, and two networks compared."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import detect
from prune.cli import exit_code
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import random_weights, write_weights
from prune.detect.predict import FrameDetections
from prune.detect.predict_settings import DetectSettings
from prune.errors import DataError, UsageError
from prune.metrics.changes import find_changes
from prune.report.detection_files import class_folders, crop, label_lines
from prune.report.detection_writer import DetectionWriter
from prune.samples.frames import Frame, count_frames, read_frames
from prune.samples.issues import Issues
from prune.samples.sources import Source, find_sources
from tests.datasets import turned_jpeg
from tests.shared import REPOSITORY
from tests.torch.sample_files import write_image

NANO = REPOSITORY / "cfg" / "yolov3-nano.cfg"
NAMES = REPOSITORY / "data" / "shapes.names"
Run = Callable[..., int]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "nano.weights"
    netdef = read_netdef(NANO)
    write_weights(path, random_weights(netdef, np.random.default_rng(1)), netdef)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, weights: Path, tmp_path: Path) -> Run:
    """Runs detect.py with that network into `tmp_path/out`; returns its exit code."""

    def call(*arguments: object) -> int:
        fixed = ["--cfg", NANO, "--weights", weights, "--img-size", "64", "--out", tmp_path / "out", "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", ["detect.py", *map(str, [*fixed, *arguments])])
        try:
            return exit_code(detect.main)
        except SystemExit as left:
            return int(left.code or 0)

    return call


def write_video(path: Path, frames: int = 6, code: str = "mp4v", size_wh: tuple[int, int] = (64, 48)) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10.0, size_wh)
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8))
    writer.release()
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def keys(*given: object, leave_out: Path | None = None) -> list[str]:
    return [source.key for source in find_sources([str(name) for name in given], Issues(), leave_out)]


def found(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 6)


# What --source names


def test_a_folder_is_searched_with_subfolders_sorted_without_hidden_files_and_other_kinds(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "sub/c.jpg", ".hidden/d.jpg", ".e.jpg"):
        write_image(tmp_path / name) if not name.endswith("PNG") else (tmp_path / name).write_bytes(b"")
    (tmp_path / "notes.md").write_text("no image")
    assert keys(tmp_path) == ["a", "b", "sub/c"]


def test_results_within_the_source_folder_are_not_taken_for_images(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg")
    write_image(tmp_path / "out" / "a.jpg")
    assert keys(tmp_path, leave_out=tmp_path / "out") == ["a"]
    assert keys(tmp_path / "out", leave_out=tmp_path / "out") == ["a"], "unless they are requested"


def test_a_glob_a_list_and_single_files_lead_to_the_same_images(tmp_path: Path) -> None:
    images = [write_image(tmp_path / f"{letter}.jpg") for letter in "ab"]
    (tmp_path / "list.txt").write_text(f"a.jpg\n\n{images[1]}\n")
    for names in ([tmp_path / "*.jpg"], [tmp_path / "list.txt"], images, [*images, tmp_path]):
        assert keys(*names) == ["a", "b"]


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path: Path) -> None:
    assert keys(write_image(tmp_path / "a[1].jpg")) == ["a[1]"]


def test_same_names_in_different_folders_and_of_different_kinds_do_not_collide(tmp_path: Path) -> None:
    paths = [write_image(tmp_path / name) for name in ("x/a.jpg", "y/a.jpg", "y/a.png", "y/A.bmp")]
    sources = find_sources([str(path) for path in paths], Issues())
    assert [source.key for source in sources] == ["x/a", "y/a.jpg", "y/a.png", "y/A.bmp"]
    assert [source.picture_name for source in sources] == ["x/a.jpg", "y/a.jpg", "y/a.png", "y/A.bmp.png"]


def test_no_picture_can_lie_among_the_crops(tmp_path: Path) -> None:
    write_image(tmp_path / "crops" / "cat" / "a_001.jpg")
    assert keys(tmp_path) == ["_crops/cat/a_001"]


@given(
    st.lists(
        st.sampled_from(["a.jpg", "A.jpg", "a.png", "b/a.jpg", "b/a.jpg.png", "a.jpg.png", "_a.jpg"]),
        unique=True,
        min_size=1,
    )
)
def test_every_key_and_every_picture_is_unique_also_where_case_does_not_count(names: list[str]) -> None:
    from prune.samples.sources import _keyed

    sources = _keyed([(Path("/top"), Path("/top") / name) for name in names])
    assert len({source.key.casefold() for source in sources}) == len(names)
    assert len({source.picture_name.casefold() for source in sources}) == len(names)


def test_listed_files_that_are_missing_are_counted(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg")
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg\nlist.txt\n")
    faults = Issues()
    assert len(find_sources([str(tmp_path / "list.txt")], faults)) == 1
    assert faults.total == 2
    assert "list.txt:2" in faults.summary()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.jpg", "no such file"),
        ("*.jpg", "matches no image"),
        ("a.doc", "is neither an image or a video"),
        ("", "contains no image"),
    ],
)
def test_a_source_that_leads_to_nothing_is_one_clear_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises((UsageError, DataError), match=message):
        find_sources([str(tmp_path / name)], Issues())


# Frames


def test_an_image_is_shown_upright_as_viewers_do(tmp_path: Path) -> None:
    turned_jpeg(tmp_path / "turned.jpg", (20, 10))
    write_image(tmp_path / "upright.jpg", (20, 10))
    frames = list(read_frames(find_sources([str(tmp_path)], Issues()), faults := Issues()))
    assert [frame.size_wh for frame in frames] == [(10, 20), (20, 10)]
    (kind,) = faults.counts
    assert "boxes are those of the rotated picture" in kind
    assert faults.places(kind) == (str(tmp_path / "turned.jpg"),)


def test_a_video_gives_its_frames_by_number(tmp_path: Path) -> None:
    sources = find_sources([str(write_video(tmp_path / "v.mp4"))], faults := Issues())
    assert count_frames(sources) == 6
    assert [frame.number for frame in read_frames(sources, faults)] == [0, 1, 2, 3, 4, 5]
    assert not faults


def test_a_video_that_ends_early_is_reported_and_its_frames_are_kept(tmp_path: Path) -> None:
    sources = find_sources([str(cut(write_video(tmp_path / "v.avi", 20, "MJPG")))], faults := Issues())
    frames = list(read_frames(sources, faults))
    assert 5 < len(frames) < 15
    assert f"ends after {len(frames)} of 20 frames" in faults.summary()


def test_broken_files_are_skipped_counted_and_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8 nonsense")
    cut(write_video(tmp_path / "v.mp4"))
    faults = Issues()
    frames = list(read_frames(find_sources([str(tmp_path)], Issues()), faults))
    assert [frame.source.key for frame in frames] == ["a"]
    assert len(list(faults.lines())) == 2
    assert "b.jpg" in faults.summary()
    assert "v.mp4" in faults.summary()
    assert capfd.readouterr().err == "", "FFmpeg has nothing to add"


def test_it_is_an_error_if_nothing_can_be_decoded(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"b\.jpg: cannot be decoded \(1 × image cannot be decoded"):
        list(read_frames(find_sources([str(tmp_path)], Issues()), Issues()))
    (tmp_path / "c.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="nor can any other of 2"):
        list(read_frames(find_sources([str(tmp_path)], Issues()), Issues()))


# Two networks


def test_changes_match_boxes_of_one_class_that_overlap_by_half() -> None:
    before = found((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 10, 0.8, 1), (50, 50, 60, 60, 0.7, 0))
    after = found((0, 0, 10, 5, 0.5, 0), (50, 50, 60, 54, 0.6, 0))
    changes = find_changes(before, after)
    assert changes.kept.tolist() == [[0, 0]], "an IoU of exactly 0.5 is enough, 0.4 is not, nor another class"
    assert changes.lost.tolist() == [1, 2]
    assert changes.new.tolist() == [1]


def test_each_detection_is_matched_once_and_with_the_best() -> None:
    before = found((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 9, 0.8, 0))
    after = found((0, 0, 10, 9, 0.9, 0))
    assert find_changes(before, after).kept.tolist() == [[1, 0]]
    assert find_changes(before, found()).lost.tolist() == [0, 1]
    assert find_changes(found(), found()).kept.shape == (0, 2)


@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(0, 12))
def test_what_was_found_is_kept_or_lost_and_what_is_found_kept_or_new(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = (
        found(*np.column_stack((c := rng.uniform(0, 3, (k, 2)), c + 4, rng.random(k), rng.integers(0, 2, k))))
        for k in (n, m)
    )
    changes, back = find_changes(before, after), find_changes(after, before)
    assert sorted([*changes.kept[:, 0], *changes.lost]) == list(range(n))
    assert sorted([*changes.kept[:, 1], *changes.new]) == list(range(m))
    assert len(back.kept) == len(changes.kept)


# What is kept


def test_label_lines_are_fractions_with_the_score_last() -> None:
    assert (
        label_lines(found((10, 20, 30, 60, 0.5, 2)), (100, 200)) == "2 0.200000 0.200000 0.200000 0.200000 0.500000\n"
    )
    assert label_lines(found(), (100, 200)) == ""


def test_a_crop_contains_every_pixel_its_box_touches_and_at_least_one() -> None:
    image = np.arange(20 * 30 * 3, dtype=np.uint16).astype(np.uint8).reshape(20, 30, 3)
    assert crop(image, np.array([2.5, 3.0, 10.2, 8.0])).shape == (5, 9, 3)
    assert crop(image, np.array([30.0, 20.0, 30.0, 20.0])).shape == (1, 1, 3)


def test_class_folders_are_valid_and_differ() -> None:
    assert class_folders(["cat", "a/b", "Cat", "..", "ok"]) == ("0_cat", "a_b", "2_Cat", "3", "ok")
    tricky = class_folders(["a", "a", "0_a", "3", "", "4"])
    assert len({folder.casefold() for folder in tricky}) == 6


def frame_of(tmp_path: Path, name: str = "a.jpg", number: int | None = None) -> Frame:
    video = number is not None
    return Frame(Source(tmp_path / name, name[:-4], video), np.full((48, 64, 3), 99, np.uint8), number)


def test_the_detection_writer_keeps_pictures_labels_results_and_crops(tmp_path: Path) -> None:
    settings = DetectSettings(save_txt=True, save_json=True, save_crop=True)
    with DetectionWriter(tmp_path / "out", ("cat", "dog"), ["original: x.cfg"], settings) as writer:
        writer.add(FrameDetections(frame_of(tmp_path), (found((4, 6, 20, 30, 0.9, 1), (0, 0, 8, 8, 0.4, 0)),)))
        writer.add(FrameDetections(frame_of(tmp_path, "b.jpg"), (found(),)))
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in writer.written)
    assert names == [
        "a.jpg",
        "b.jpg",
        "crops/cat/a_002.jpg",
        "crops/dog/a_001.jpg",
        "detections.json",
        "labels/a.txt",
        "labels/b.txt",
    ]
    assert all(path.is_file() for path in writer.written)
    assert (tmp_path / "out/labels/b.txt").read_text() == ""
    entries = json.loads((tmp_path / "out/detections.json").read_text())
    assert entries[0] == {
        "image_id": 1,
        "file_name": (tmp_path / "a.jpg").as_posix(),
        "category_id": 2,
        "category": "dog",
        "bbox": [4.0, 6.0, 16.0, 24.0],
        "score": 0.9,
    }
    assert writer.facts()["detections_per_class"] == {"cat": 1, "dog": 1}
    assert writer.table().splitlines()[-1].split() == ["all", "2"]


def test_crops_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    settings = DetectSettings(save_crop=True)
    for rows in ([(4, 6, 20, 30, 0.9, 1), (0, 0, 8, 8, 0.4, 0)], [(0, 0, 9, 9, 0.5, 0)]):
        with DetectionWriter(tmp_path, ("cat", "dog"), ["one"], settings) as writer:
            writer.add(FrameDetections(frame_of(tmp_path), (found(*rows),)))
            writer.add(FrameDetections(frame_of(tmp_path, "a_001.jpg"), (found(*rows),)))
    crops = sorted(path.name for path in (tmp_path / "crops").rglob("*.jpg"))
    assert crops == ["a_001.jpg", "a_001_001.jpg"]


def test_the_detection_writer_of_two_networks_counts_what_changed(tmp_path: Path) -> None:
    before, after = (
        found((4, 6, 40, 40, 0.9, 1), (0, 0, 8, 8, 0.4, 0)),
        found((4, 6, 40, 41, 0.8, 1), (50, 0, 60, 8, 0.4, 1)),
    )
    with DetectionWriter(tmp_path, ("cat", "dog"), ["original: x.cfg", "pruned: y.cfg"], DetectSettings()) as writer:
        writer.add(FrameDetections(frame_of(tmp_path), (before, after)))
    assert writer.facts()["compared"] == {"detections": 2, "in_both": 1, "lost": 1, "new": 1}
    assert [line.split() for line in writer.table().splitlines()[2:]] == [
        ["cat", "1", "0", "0", "1", "0"],
        ["dog", "1", "2", "1", "0", "1"],
        ["all", "2", "2", "1", "1", "1"],
    ]


def test_detections_before_an_interruption_are_kept(tmp_path: Path) -> None:
    writer = DetectionWriter(tmp_path, ("cat",), ["one"], DetectSettings(save_json=True))

    def look() -> None:
        with writer:
            for number in range(3):
                writer.add(FrameDetections(frame_of(tmp_path, "v.avi", number), (found((1, 1, 9, 9, 0.5, 0)),)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look()
    capture = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    capture.release()
    entries = json.loads((tmp_path / "detections.json").read_text())
    assert [entry["frame"] for entry in entries] == [0, 1, 2]
    assert sorted(os.listdir(tmp_path)) == ["detections.json", "v.mp4"], "nothing unfinished is left"


# The command


def test_the_command_writes_a_picture_per_image_and_a_video_per_video(run: Run, tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "a.jpg")
    write_image(tmp_path / "in" / "sub" / "a.png")
    write_video(tmp_path / "in" / "v.mp4")
    assert run("--source", tmp_path / "in", "--save-txt", "--save-json", "--conf-thres", 0.1) == 0
    out = tmp_path / "out"
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.*")} == {
        *("a.jpg", "sub/a.png", "v.mp4", "labels/a.txt", "labels/sub/a.txt", "detections.json", "summary.json"),
        *(f"labels/v/{number:06d}.txt" for number in range(6)),
    }
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["images"], summary["videos"], summary["frames"]) == (2, 1, 6)
    lines = sum(len(path.read_text().splitlines()) for path in (out / "labels").rglob("*.txt"))
    assert lines == summary["detections"] == len(json.loads((out / "detections.json").read_text()))


def test_the_same_network_compared_with_itself_loses_nothing(run: Run, weights: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", (60, 40))
    assert run("--source", tmp_path / "a.jpg", "--conf-thres", 0.1, "--compare", NANO, weights, "--names", NAMES) == 0
    compared = json.loads((tmp_path / "out" / "summary.json").read_text())["compared"]
    assert compared["detections"] == compared["in_both"]
    assert compared["lost"] == compared["new"] == 0


def test_results_are_not_overwritten_without_the_flag_and_images_never(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_image(tmp_path / "in" / "a.jpg")
    assert run("--source", image) == 0
    assert run("--source", image) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("--source", image, "--overwrite") == 0
    before = image.read_bytes()
    assert run("--source", image, "--out", tmp_path / "in", "--overwrite") == 2
    assert "is an input" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_a_broken_image_does_not_stop_the_others(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "b.jpg").write_bytes(b"nonsense")
    assert run("--source", tmp_path / "in") == 0
    assert "1 × image cannot be decoded, skipped:" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.jpg").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--conf-thres", "1.5"], "--conf-thres 1.5 must be within [0, 1)"),
        (["--names", str(REPOSITORY / "data" / "coco.names")], "80 names"),
        (["--names", "x", "--data", "y"], "pass one of them"),
        (["--img-size", "50"], "multiples of"),
        (["--compare", str(REPOSITORY / "cfg" / "yolov3-tiny.cfg"), str(NAMES)], "names"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run("--source", write_image(tmp_path / "a.jpg"), *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
