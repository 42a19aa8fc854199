"""The data check: each kind of fault is found, and nothing else is."""

from __future__ import annotations

import json
import shutil
import sys
import time
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.check import main
from prune.cli import exit_code
from prune.darknet.datafile import DataFile
from prune.darknet.netdef import read_netdef
from prune.data.check import CheckReport, CheckSettings, check
from prune.data.pixels import probe_image
from prune.errors import DataError
from prune.report.check_page import check_page
from prune.report.check_text import check_text, verdict
from tests.datasets import Picture, Thing, noise, turned_jpeg, write_coco, write_descriptor, write_noise
from tests.shared import REPOSITORY

GOOD = "0 .5 .5 .5 .5\n1 .25 .25 .2 .3\n2 .7 .7 .1 .1\n"
SIZE = (64, 48)
NO_VALID = "class without an object in valid"


def write_split(folder: Path, split: str, labels: dict[str, str], seed: int) -> str:
    """A list of images with different pixels; the line of the `.data` file."""
    for number, (stem, text) in enumerate(labels.items()):
        write_noise(folder / split / f"{stem}.png", seed + number, SIZE)
        (folder / split / f"{stem}.txt").write_text(text)
    (folder / f"{split}.txt").write_text("".join(f"{folder}/{split}/{stem}.png\n" for stem in labels))
    return f"{split} = {folder}/{split}.txt"


@pytest.fixture
def clean(tmp_path: Path) -> DataFile:
    lines = [
        write_split(tmp_path, "train", {"a": GOOD, "b": GOOD}, 0),
        write_split(tmp_path, "valid", {"c": GOOD}, 9),
    ]
    return write_descriptor(tmp_path, lines)


def examined(data: DataFile, anchors: int = 0) -> CheckReport:
    return check(data, CheckSettings(anchors=anchors, progress=False), (416, 416), letterbox=True)


def test_a_clean_set_has_no_faults(clean: DataFile) -> None:
    report = examined(clean)
    assert not report.faults, report.faults.summary()
    assert not report.remarks
    assert not report.faulty
    assert verdict(report) == "no faults in 3 images"
    train = report.splits["train"]
    assert (train.images, train.objects, train.class_objects, train.class_images) == (2, 6, (2, 2, 2), (2, 2, 2))
    assert train.width == (64, 64, 64)
    assert (train.small, train.medium, train.large) == (6, 0, 0)
    assert {example.sample.image.name for example in report.examples} == {"a.png", "b.png", "c.png"}


def test_images_of_a_class_are_counted_once_however_many_objects_they_have(clean: DataFile) -> None:
    (clean.path.parent / "train/a.txt").write_text(f"{GOOD}2 .1 .1 .1 .1\n2 .9 .9 .1 .1\n")
    train = examined(clean).splits["train"]
    assert (train.class_objects, train.class_images) == ((2, 2, 4), (2, 2, 2))
    assert train.per_image == (3, 4, 5)


class TestFaults:
    def expect(self, data: DataFile, kind: str, *places: str) -> None:
        """Only this kind was found, at these places."""
        faults = examined(data).faults
        assert list(faults.counts) == [kind], faults.summary()
        found = faults.places(kind)
        assert len(found) == len(places), found
        for place, expected in zip(found, places, strict=True):
            assert expected in place

    def test_an_image_that_cannot_be_decoded(self, clean: DataFile) -> None:
        path = clean.path.parent / "train/a.png"
        path.write_bytes(path.read_bytes()[:60] + b"x" * 500)
        self.expect(clean, "image cannot be decoded", "a.png")

    @pytest.mark.parametrize("suffix", [".jpg", ".png"])
    def test_an_image_whose_end_is_missing(self, clean: DataFile, suffix: str) -> None:
        folder = clean.path.parent
        path = folder / f"train/b{suffix}"
        assert cv2.imwrite(str(path), noise(1, (200, 150)))
        path.write_bytes(path.read_bytes()[: -len(path.read_bytes()) // 3])
        (folder / "train.txt").write_text(f"{folder}/train/a.png\n{path}\n")
        counts = examined(clean).faults.counts
        assert set(counts) <= {"image is cut off, its end is missing", "image cannot be decoded"}
        assert sum(counts.values()) == 1

    def test_what_follows_a_complete_image_does_not_matter(self, clean: DataFile) -> None:
        folder, rng = clean.path.parent, np.random.default_rng(0)
        for number in range(20):
            path = folder / "train/b.jpg"
            assert cv2.imwrite(str(path), noise(number, (60, 50)), [cv2.IMWRITE_JPEG_PROGRESSIVE, number % 2])
            path.write_bytes(path.read_bytes() + rng.bytes(300_000))
            assert not probe_image(path).cut_off
            path.write_bytes(path.read_bytes()[:2000])
            assert probe_image(path).cut_off or probe_image(path).size_wh is None

    def test_labels_out_of_range_and_boxes_of_no_size(self, clean: DataFile) -> None:
        (clean.path.parent / "train/a.txt").write_text(f"{GOOD}7 .5 .5 .1 .1\n0 .5 .5 0 .1\n0 1.5 .5 .1 .1\n0 .5 .5\n")
        faults = examined(clean).faults
        assert faults.counts == {
            "label line skipped, class is not in 0 … 2": 1,
            "label line skipped, box has no area": 1,
            "label line skipped, box is not in fractions of the image (0 … 1)": 1,
            "label line skipped, not five numbers": 1,
        }
        assert "a.txt:4" in faults.summary()

    def test_a_box_beyond_the_image(self, clean: DataFile) -> None:
        (clean.path.parent / "train/a.txt").write_text(f"{GOOD}0 .95 .5 .2 .2\n0 .5 .5 1.001 .2\n")
        self.expect(clean, "box reaches beyond the image, clipped", "a.txt:4")
        assert [example.sample.image.name for example in examined(clean).faulty] == ["a.png"]

    def test_the_same_box_twice(self, clean: DataFile) -> None:
        (clean.path.parent / "train/a.txt").write_text(f"{GOOD}1 .2501 .25 .2 .3\n1 .26 .25 .2 .3\n")
        self.expect(clean, "duplicate object: same class, same box", "a.png (objects 2 and 4)")
        assert examined(clean).faulty[0].marked == (1, 3)

    def test_one_box_under_two_classes_is_only_remarked(self, clean: DataFile) -> None:
        (clean.path.parent / "train/a.txt").write_text(f"{GOOD}0 .25 .25 .2 .3\n")
        report = examined(clean)
        assert not report.faults
        assert report.remarks.counts == {"one box under two classes": 1}

    def test_a_class_without_an_object_to_learn(self, clean: DataFile) -> None:
        for label in ("a", "b"):
            (clean.path.parent / f"train/{label}.txt").write_text("0 .5 .5 .5 .5\n")
        self.expect(clean, "class without an object in train", "dog", "cow")

    def test_a_class_that_is_learnt_but_not_measured_is_only_remarked(self, clean: DataFile) -> None:
        (clean.path.parent / "valid/c.txt").write_text("0 .5 .5 .5 .5\n")
        report = examined(clean)
        assert not report.faults
        assert report.remarks.places(NO_VALID) == ("dog", "cow")

    def test_a_class_without_objects_in_the_only_split_valid_is_a_fault(self, clean: DataFile) -> None:
        (clean.path.parent / "valid/c.txt").write_text("0 .5 .5 .5 .5\n")
        self.expect(
            write_descriptor(clean.path.parent, [f"valid = {clean.path.parent}/valid.txt"]), NO_VALID, "dog", "cow"
        )

    def test_an_image_that_viewers_rotate_is_only_remarked(self, clean: DataFile) -> None:
        turned_jpeg(clean.path.parent / "train/b.jpg", (64, 48))
        (clean.path.parent / "train.txt").write_text("train/a.png\ntrain/b.jpg\n")
        report = examined(clean)
        assert not report.faults
        assert [kind.split(":")[0] for kind in report.remarks.counts] == ["image has a camera's orientation flag"]

    @pytest.mark.parametrize(
        ("stored", "declared", "flag", "remarked"),
        [
            ((48, 64), (64, 48), 6, False),
            ((64, 48), (64, 48), 6, True),
            ((60, 60), (60, 60), 6, True),
            ((64, 48), (64, 48), 3, True),
            ((64, 48), (64, 48), 1, False),
        ],
    )
    def test_a_flag_that_the_annotations_size_has_not_followed_is_remarked(
        self, tmp_path: Path, stored: tuple[int, int], declared: tuple[int, int], flag: int, remarked: bool
    ) -> None:
        things = [Thing(label, (5, 5, 20, 20 + label)) for label in range(3)]
        data = write_coco(tmp_path, [Picture("a.jpg", declared, things)])
        turned_jpeg(tmp_path / "pics/a.jpg", stored, flag)
        report = examined(data)
        assert not report.faults, report.faults.summary()
        assert any("orientation flag" in kind for kind in report.remarks.counts) == remarked

    def test_more_anchors_than_sizes_are_remarked(self, clean: DataFile) -> None:
        report = examined(clean, anchors=9)
        assert report.anchors is not None
        assert len(report.anchors.after.anchors) == 3
        assert report.remarks.places("fewer different box sizes than --anchors 9") == ("only 3",)

    def test_an_image_listed_twice(self, clean: DataFile) -> None:
        listed = clean.path.parent / "train.txt"
        listed.write_text(listed.read_text() + listed.read_text().split("\n")[0] + "\n")
        self.expect(clean, "image twice in train: the same file", "a.png")

    def test_the_same_pixels_under_two_names(self, clean: DataFile) -> None:
        folder = clean.path.parent
        assert cv2.imwrite(str(folder / "train/b.png"), noise(0), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        assert (folder / "train/b.png").read_bytes() != (folder / "train/a.png").read_bytes()
        self.expect(clean, "image twice in train: the same pixels", "b.png = ")

    def test_an_image_of_train_in_valid(self, clean: DataFile) -> None:
        folder = clean.path.parent
        shutil.copy(folder / "train/b.png", folder / "valid/c.png")
        self.expect(clean, "image in train and in valid: the same pixels", f"c.png = {folder}/train/b.png")
        (folder / "valid.txt").write_text(f"{folder}/train/b.png\n")
        self.expect(clean, "image in train and in valid: the same file", "train/b.png")

    def test_a_link_to_a_file_is_the_same_file(self, clean: DataFile) -> None:
        folder = clean.path.parent
        (folder / "valid/c.png").unlink()
        (folder / "valid/c.png").symlink_to(folder / "train/b.png")
        self.expect(clean, "image in train and in valid: the same file", "c.png")

    def test_coco_boxes_beyond_the_image_and_another_size(self, tmp_path: Path) -> None:
        write_noise(tmp_path / "pics/a.png", 3, SIZE)
        write_noise(tmp_path / "pics/b.png", 4, SIZE)
        image = {"width": 64, "height": 48}
        content = {
            "images": [
                {"id": 1, "file_name": "a.png", **image},
                {"id": 2, "file_name": "b.png", "width": 80, "height": 48},
            ],
            "annotations": [
                {"id": n, "image_id": i, "category_id": 1, "bbox": box}
                for n, (i, box) in enumerate([(1, [60, 0, 9, 9]), (1, [60.5, 0, 4.2, 9]), (2, [0, 0, 9, 9])], start=1)
            ],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (tmp_path / "t.json").write_text(json.dumps(content))
        lines = [f"train = {tmp_path}/t.json", f"train_images = {tmp_path}/pics"]
        faults = examined(write_descriptor(tmp_path, lines, ("cat",))).faults
        assert faults.counts == {
            "box reaches beyond the image, clipped": 1,
            "JSON gives another image size; the image's own is used": 1,
        }
        assert "a.png (object 1)" in faults.summary()
        assert "b.png (64 x 48, not 80 x 48)" in faults.summary()

    def test_a_descriptor_without_a_split_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="nothing to check; add one"):
            examined(write_descriptor(tmp_path, []))


class _Page(HTMLParser):
    """The elements of a page; unbalanced tags fail."""

    VOID = ("meta", "image", "rect", "path", "circle")

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(markup)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


class TestPage:
    def test_it_is_self_contained_and_shows_every_picture(self, clean: DataFile) -> None:
        (clean.path.parent / "train/a.txt").write_text(GOOD + GOOD)
        report = examined(clean, anchors=2)
        page = _Page(check_page(report, "set.data"))
        pictures = len(report.faulty) + len(report.examples)
        assert page.tags.count("image") == pictures == 4
        assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
        assert not {"script", "link", "iframe", "img"} & set(page.tags)
        words = " ".join(page.words)
        assert "3 faults of 1 kind in 3 images" in words
        assert "duplicate object" in words

    def test_names_and_paths_are_escaped(self, tmp_path: Path) -> None:
        names = ("<b>cat</b>", "Hündin & 狗")
        lines = [write_split(tmp_path, "train", {"<i>a": "0 .5 .5 .5 .5\n1 .2 .2 .1 .1\n9 1 1 1 1\n"}, 0)]
        page = check_page(examined(write_descriptor(tmp_path, lines, names)), "<script>")
        assert "<b>cat" not in page
        assert "<i>a" not in page
        assert "<script>" not in page
        assert "Hündin &amp; 狗" in page
        assert _Page(page).words

    def test_it_states_how_many_anchors_the_cfg_uses(self, clean: DataFile) -> None:
        netdef = read_netdef(REPOSITORY / "cfg/yolov3-tiny.cfg")
        for count, hint in ((2, "the heads of the cfg use 5 anchors: --anchors 5"), (5, "prune.adapt CFG --anchors")):
            (clean.path.parent / "train/a.txt").write_text(GOOD + "0 .3 .3 .3 .1\n0 .6 .6 .4 .2\n0 .2 .2 .1 .3\n")
            settings = CheckSettings(anchors=count, progress=False)
            report = check(clean, settings, (416, 416), letterbox=True, netdef=netdef)
            assert hint in check_text(report)
            assert ("5 finds as many" in check_page(report, "x")) == (count == 2)

    def test_a_report_without_objects_can_be_shown(self, tmp_path: Path) -> None:
        report = examined(write_descriptor(tmp_path, [write_split(tmp_path, "train", {"a": ""}, 0)]), anchors=9)
        assert report.anchors is None
        assert "no faults" not in check_text(report)
        assert _Page(check_page(report, "x")).words


class TestCommand:
    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["check.py", *map(str, arguments)])
        return exit_code(main)

    def test_it_ends_with_3_where_there_are_faults(
        self, clean: DataFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, clean.path) == 0  # fewer box sizes than the usual nine anchors
        assert capsys.readouterr().out.endswith("no faults in 3 images\n")
        (clean.path.parent / "train/a.txt").write_text(f"{GOOD}9 .5 .5 .1 .1\n")
        assert self.run(monkeypatch, clean.path, "--anchors", 2, "--json", "-") == 3
        summary = json.loads(capsys.readouterr().out)
        assert summary["faults"]["label line skipped, class is not in 0 … 2"]["count"] == 1
        assert summary["splits"]["train"]["objects"] == 6
        assert len(summary["anchors"]["after"]["anchors"]) == 2

    def test_a_page_is_not_replaced_without_overwrite(
        self, clean: DataFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = clean.path.parent / "page.html"
        arguments = (clean.path, "--anchors", 0, "--html", page, "--quiet")
        assert self.run(monkeypatch, *arguments) == 0
        assert page.read_text().startswith("<!DOCTYPE html>")
        assert self.run(monkeypatch, *arguments) == 2
        assert "pass --overwrite" in capsys.readouterr().err
        (clean.path.parent / "train/a.txt").write_text(f"{GOOD}9 .5 .5 .1 .1\n")
        assert self.run(monkeypatch, *arguments, "--overwrite") == 3
        assert capsys.readouterr().err == "warning: 1 fault of 1 kind in 3 images\n"
        assert "1 fault of 1 kind" in page.read_text()

    def test_a_file_that_is_not_coco_ends_with_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "t.json").write_text('{"results": []}')
        data = write_descriptor(tmp_path, [f"train = {tmp_path}/t.json", f"train_images = {tmp_path}"])
        assert self.run(monkeypatch, data.path) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "contains no list of objects under 'images'; use a COCO instances JSON" in error


def test_thousands_of_equal_lines_are_checked_in_linear_time(clean: DataFile) -> None:
    label = clean.path.parent / "train/a.txt"
    label.write_text(8000 * "0 .4 .5 .5 .5\n" + GOOD)
    started = time.process_time()
    report = examined(clean)
    assert time.process_time() - started < 20
    assert report.faults.counts["duplicate object: same class, same box"] == 7999


def test_few_equal_boxes_are_all_pairs_and_many_one_each() -> None:
    from prune.data.objects import MOST_PAIRS, same_boxes
    from prune.samples.sample import Annotation, sample_from_pixels

    def pairs(count: int) -> int:
        boxes = [Annotation(0, (1 + 0.01 * (n % 3), 2, 30, 40)) for n in range(count)]
        return len(same_boxes(sample_from_pixels(Path("a.jpg"), 1, (90, 90), boxes), (90, 90))[0])

    assert [pairs(count) for count in (0, 1, 2, 3, 20)] == [0, 0, 1, 3, 190]
    assert pairs(45) == 45 * 44 // 2 <= MOST_PAIRS
    assert pairs(60) == 59


@given(st.lists(st.tuples(*4 * [st.integers(0, 8)], st.integers(0, 1)), max_size=25))
def test_equal_boxes_are_those_that_a_search_of_all_pairs_finds(rows: list[tuple[int, ...]]) -> None:
    from prune.data.objects import SAME, same_boxes
    from prune.samples.sample import Annotation, sample_from_pixels

    edges = [(a * 0.04, b * 0.04, 9 + c * 0.04, 9 + d * 0.04) for a, b, c, d, _ in rows]
    objects = [Annotation(row[4], box) for row, box in zip(rows, edges, strict=True)]
    alike, mixed = same_boxes(sample_from_pixels(Path("a.jpg"), 1, (20, 20), objects), (20, 20))
    wanted = {
        (i, j)
        for i, j in combinations(range(len(edges)), 2)
        if all(abs(a - b) <= SAME for a, b in zip(edges[i], edges[j], strict=True))
    }
    assert sorted(map(tuple, [*alike.tolist(), *mixed.tolist()])) == sorted(wanted)
    assert all(rows[i][4] == rows[j][4] for i, j in alike)
    assert all(rows[i][4] != rows[j][4] for i, j in mixed)


def test_polygons_are_remarked_and_labels_that_are_not_text_are_faults(clean: DataFile) -> None:
    folder = clean.path.parent
    (folder / "train/a.txt").write_text(f"{GOOD}0 .1 .1 .3 .1 .3 .3\n")
    assert [kind for kind in examined(clean).remarks.counts if "polygon" in kind]
    assert not examined(clean).faults
    (folder / "train/a.txt").write_bytes(GOOD.encode("utf-16"))
    (kind,) = examined(clean).faults.counts
    assert "UTF-16" in kind


def test_an_image_that_is_a_pointer_of_git_lfs_is_recognised(clean: DataFile) -> None:
    (clean.path.parent / "train/a.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    kind = "image cannot be decoded: it is a pointer of Git LFS (run 'git lfs pull')"
    assert examined(clean).faults.counts == {kind: 1}


def test_objects_that_are_all_smaller_than_a_pixel_are_remarked(clean: DataFile) -> None:
    folder = clean.path.parent
    for stem in "ab":
        (folder / f"train/{stem}.txt").write_text("0 .5 .5 .01 .01\n1 .2 .2 .01 .01\n2 .3 .3 .01 .01\n")
    report = examined(clean)
    (kind,) = report.remarks.counts
    assert "fractions" in kind
    assert report.remarks.places(kind) == ("train",)


def test_names_cannot_control_the_terminal_or_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [write_split(tmp_path, "train", {"a\x1b[2J": "0 .5 .5 .5 .5\n1 .2 .2 .1 .1\n9 1 1 1 1\n"}, 0)]
    data = write_descriptor(tmp_path, [*lines, "ke\x1by = 1"], ("cat\x1b]0;x\x07", "\u202edog"))
    page = tmp_path / "page.html"
    monkeypatch.setattr(sys, "argv", ["check", str(data.path), "--html", str(page)])
    assert exit_code(main) == 3
    captured = capsys.readouterr()
    shown = captured.out + captured.err + page.read_text(encoding="utf-8")
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert r"cat\x1b]0;x\x07" in captured.out
    assert r"a\x1b[2J" in captured.out
    assert r"unknown key 'ke\x1by'" in captured.err


def test_many_objects_are_searched_for_duplicates_quickly_and_completely() -> None:
    from prune.data.objects import same_boxes
    from prune.samples.sample import Annotation, sample_from_pixels

    random = np.random.default_rng(0)
    low = random.uniform(0, 900, (3000, 2))
    boxes = np.concatenate((low, low + random.uniform(1, 99, (3000, 2))), axis=1)
    boxes[2500:2600] = boxes[100:200] + 0.04
    objects = [Annotation(0, (float(a), float(b), float(c), float(d))) for a, b, c, d in boxes]
    alike, mixed = same_boxes(sample_from_pixels(Path("a.jpg"), 1, (1000, 1000), objects), (1000, 1000))
    assert sorted(map(tuple, alike.tolist())) == [(n, n + 2400) for n in range(100, 200)]
    assert not len(mixed)
