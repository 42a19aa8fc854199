"""Conversion between COCO, VOC and Darknet: what is kept, and how the rest is reported."""

from __future__ import annotations

import errno
import json
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prune.cli import exit_code
from prune.convert import main
from prune.darknet.datafile import DataFile, read_datafile
from prune.data.choice import Choice, parse_names
from prune.data.convert import Conversion, ConvertSettings, Format, convert
from prune.data.naming import unique_names
from prune.data.staging import staged_folder
from prune.errors import UsageError
from prune.samples.images import image_size
from prune.samples.sample import SampleSet
from tests.datasets import NAMES, Picture, Thing, png_header, read, turned_jpeg, write_coco, write_descriptor
from tests.shared import SHARED, needs_shared

NOTHING = Choice()


def run(data: DataFile | Path, to: Format, out: Path, choice: Choice = NOTHING) -> Conversion:
    datafile = data if isinstance(data, DataFile) else read_datafile(data)
    return convert(datafile, ConvertSettings(to=to), choice, out)


def test_objects_without_a_box_get_the_one_around_their_polygon_in_every_format(tmp_path: Path) -> None:
    polygon = [[4.0, 2.0, 14.0, 2.0, 14.0, 12.0]]
    thing = Thing(1, (0, 0, 1, 1), {"bbox": None, "segmentation": polygon, "category_id": 8.0, "image_id": "1"})
    data = write_coco(tmp_path, [Picture("a.png", (40, 20), [thing])])
    for to in ("coco", "voc", "darknet"):
        done = run(data, to, tmp_path / to)
        (sample,) = read(done.data).samples
        assert sample.classes.tolist() == [1]
        np.testing.assert_allclose(sample.pixel_edges((40, 20)), [[4, 2, 14, 12]], atol=1e-4)
        assert "object without a box, the box around its polygon is used" in done.notes.counts
    written = json.loads((tmp_path / "coco/annotations/instances_train.json").read_text())["annotations"][0]
    assert written["bbox"] == [4, 2, 10, 10]
    assert written["segmentation"] == polygon


def chain(data: DataFile, folder: Path, *formats: Format) -> Path:
    """Converts through several formats; the last `.data` file."""
    path = data.path
    for number, to in enumerate(formats):
        path = run(path, to, folder / f"{number}-{to}").data
    return path


def table(found: SampleSet) -> dict[str, np.ndarray]:
    """Per image (n, 6): class, edges in pixels, and whether it is difficult or crowd, in a fixed order."""
    rows = {}
    for sample in found.samples:
        size = sample.size_wh or _size(sample.image)
        edges = sample.pixel_edges(size)
        apart = sample.difficult | sample.crowd
        order = np.argsort(apart, kind="stable")
        rows[sample.image.stem] = np.column_stack((sample.classes, edges, apart))[order]
    return rows


def _size(path: Path) -> tuple[int, int]:
    size = image_size(path)
    assert size is not None
    return size


def assert_same_boxes(before: SampleSet, after: SampleSet, pixels: float) -> None:
    old, new = table(before), table(after)
    assert old.keys() == new.keys()
    for stem, rows in old.items():
        assert rows.shape == new[stem].shape, stem
        np.testing.assert_array_equal(rows[:, [0, 5]], new[stem][:, [0, 5]])
        assert np.abs(rows - new[stem]).max(initial=0) <= pixels, stem


@st.composite
def pictures(draw: st.DrawFn) -> list[Picture]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        width, height = draw(st.integers(2, 5000)), draw(st.integers(2, 5000))
        things = [_thing(draw, width, height) for _ in range(draw(st.integers(0, 4)))]
        found.append(Picture(f"{number}.png", (width, height), things))
    found.append(Picture("full.png", (9, 9), [Thing(0, (0, 0, 9, 9))]))  # a set without any label is refused
    return found


def _thing(draw: st.DrawFn, width: int, height: int) -> Thing:
    x0, y0 = draw(st.floats(0, width - 0.05)), draw(st.floats(0, height - 0.05))
    w, h = draw(st.floats(0.03, width - x0)), draw(st.floats(0.03, height - y0))
    flag = draw(st.sampled_from(({}, {}, {"difficult": 1}, {"iscrowd": 1})))
    return Thing(draw(st.integers(0, 2)), (x0, y0, w, h), dict(flag))


@pytest.mark.parametrize(
    "formats",
    [("darknet", "coco"), ("voc", "coco"), ("coco", "voc"), ("darknet", "voc", "darknet"), ("coco",)],
    ids="-".join,
)
@settings(max_examples=15, deadline=None)
@given(given_pictures=pictures())
def test_no_box_is_lost_and_none_moves_by_more_than_half_a_pixel(
    formats: tuple[Format, ...], given_pictures: list[Picture], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    data = write_coco(folder, given_pictures)
    assert_same_boxes(read(data.path), read(chain(data, folder, *formats)), 0.5)


@needs_shared
class TestSharedData:
    def coco(self, folder: Path) -> DataFile:
        mini, names = SHARED / "coco-mini", (SHARED / "weights/coco.names").read_text().split("\n")
        lines = [
            f"{split} = {mini}/annotations/instances_{year}2017.json\n{split}_images = {mini}/{year}2017"
            for split, year in (("train", "train"), ("valid", "val"))
        ]
        return write_descriptor(folder, lines, [name for name in names if name])

    def bccd(self, folder: Path) -> DataFile:
        sets = SHARED / "bccd/ImageSets/Main"
        return write_descriptor(
            folder, [f"train = {sets}/trainval.txt", f"valid = {sets}/test.txt"], ("RBC", "WBC", "Platelets")
        )

    def test_coco_to_darknet_and_back_keeps_every_box(self, tmp_path: Path) -> None:
        data = self.coco(tmp_path)
        last = chain(data, tmp_path, "darknet", "coco")
        for split in ("train", "valid"):
            assert_same_boxes(read(data.path, split), read(last, split), 0.02)

    def test_voc_to_coco_to_voc_keeps_every_box_exactly(self, tmp_path: Path) -> None:
        data = self.bccd(tmp_path)
        last = chain(data, tmp_path, "coco", "voc")
        for split in ("train", "valid"):
            before, after = read(data.path, split), read(last, split)
            assert_same_boxes(before, after, 0.0)
            assert not after.faults
        assert sum(len(sample.classes) for split in ("train", "valid") for sample in read(last, split).samples) == 4886


class TestCoco:
    def test_segments_ids_and_licences_survive_from_coco_to_coco(self, tmp_path: Path) -> None:
        things = [Thing(2, (1, 1, 5, 5), {"segmentation": [[1, 1, 6, 1, 6, 6]], "score": 3, "id": 77})]
        data = write_coco(tmp_path, [Picture("a b.png", (20, 10), [*things, Thing(0, (0, 0, 0, 4))])])
        done = run(data, "coco", tmp_path / "out", Choice(classes=("cow", "cat")))
        content = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
        assert content["licenses"] == [{"id": 4}]
        (kept,) = content["annotations"]
        assert (kept["id"], kept["category_id"], kept["score"]) == (77, 13, 3)
        assert kept["segmentation"] == [[1, 1, 6, 1, 6, 6]]
        assert [(c["id"], c["name"], c["supercategory"]) for c in content["categories"]] == [
            (13, "cow", "animal"),
            (3, "cat", "animal"),
        ]
        assert done.faults.counts == {"object skipped, box has no area": 1}
        assert read(done.data).samples[0].classes.tolist() == [0]

    @pytest.mark.parametrize("ids", [(2**53, 2**53 + 1, 2**53 + 2), (2**70, 7, 10**30)])
    def test_ids_of_any_size_survive_from_coco_to_coco(self, tmp_path: Path, ids: tuple[int, ...]) -> None:
        things = [Thing(0, (place, 0, 4, 4), {"id": i}) for place, i in enumerate(ids)]
        run(write_coco(tmp_path, [Picture("a.png", (20, 10), things)]), "coco", tmp_path / "out")
        content = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
        assert [(record["id"], record["bbox"][0]) for record in content["annotations"]] == list(
            zip(ids, range(3), strict=True)
        )

    def test_a_class_without_a_category_does_not_take_that_of_another(self, tmp_path: Path) -> None:
        data = write_coco(tmp_path, [Picture("a.png", (20, 10), [Thing(2, (0, 0, 4, 4))])])
        descriptor = write_descriptor(tmp_path, data.path.read_text().splitlines()[2:], names=("bird", *NAMES))
        run(descriptor, "coco", tmp_path / "out")
        content = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
        kinds = [(c["name"], c["supercategory"]) for c in content["categories"]]
        assert kinds == [("bird", "none"), ("cat", "animal"), ("dog", "animal"), ("cow", "animal")]
        assert read(tmp_path / "out/set.data").samples[0].classes.tolist() == [3]

    def test_no_box_is_rounded_away(self, tmp_path: Path) -> None:
        last = chain(
            write_coco(tmp_path, [Picture("a.png", (20, 10), [Thing(0, (3, 3, 4e-5, 4))])]), tmp_path, "coco", "coco"
        )
        assert len(read(last).samples[0].classes) == 1

    def test_annotation_ids_count_from_one_where_those_of_the_source_are_not_unique(self, tmp_path: Path) -> None:
        things = [
            Thing(0, (0, 0, 4, 4), {"id": 0}),
            Thing(1, (4, 4, 4, 4), {"id": 0, "segmentation": [[4, 4, 8, 8, 4, 8]]}),
        ]
        done = run(write_coco(tmp_path, [Picture("a.png", (20, 10), things)]), "coco", tmp_path / "out")
        content = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
        assert [record["id"] for record in content["annotations"]] == [1, 2]
        assert content["annotations"][1]["segmentation"] == [[4, 4, 8, 8, 4, 8]]
        assert any("not unique" in line for line in done.notes.lines())

    def test_a_voc_objects_difficulty_is_kept(self, tmp_path: Path) -> None:
        things = [Thing(0, (0, 0, 4, 4), {"difficult": 1}), Thing(1, (4, 4, 4, 4), {"iscrowd": 1})]
        data = write_coco(tmp_path, [Picture("a.png", (20, 10), things)])
        (sample,) = read(chain(data, tmp_path, "voc", "coco")).samples
        assert sample.crowd.tolist() == [False, True]
        (first, second) = json.loads((tmp_path / "1-coco/annotations/instances_train.json").read_text())["annotations"]
        assert (first["difficult"], first["iscrowd"]) == (1, 0)
        assert ("difficult" in second, second["iscrowd"]) == (False, 1)


class TestVoc:
    def test_other_content_of_the_xml_is_kept(self, tmp_path: Path) -> None:
        for folder in ("Annotations", "ImageSets"):
            (tmp_path / folder).mkdir()
        png_header(tmp_path / "JPEGImages/a.png", (40, 20))
        objects = "".join(
            f"<object><name>{name}</name><pose>Left</pose><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax>"
            f"<ymax>{bottom}</ymax></bndbox></object>"
            for name, bottom in (("cat", 9), ("cat", 2), ("dog", 12))
        )
        xml = f"<annotation><owner>me &amp; you</owner><filename>x.jpg</filename>{objects}</annotation>"
        (tmp_path / "Annotations/a.xml").write_text(xml)
        (tmp_path / "ImageSets/t.txt").write_text("a\n")
        data = write_descriptor(tmp_path, [f"train = {tmp_path}/ImageSets/t.txt"])
        done = run(data, "voc", tmp_path / "out", Choice(classes=("dog",)))
        tree = ET.parse(tmp_path / "out/Annotations/a.xml").getroot()
        assert tree.findtext("owner") == "me & you"
        assert tree.findtext("filename") == "a.png"
        assert [(o.findtext("name"), o.findtext("pose"), o.findtext("bndbox/ymax")) for o in tree.iter("object")] == [
            ("dog", "Left", "12")
        ]
        assert done.faults.total == 1
        assert done.counts["train"]["objects"] == 1

    def test_a_box_of_less_than_a_pixel_is_widened_not_lost(self, tmp_path: Path) -> None:
        data = write_coco(tmp_path, [Picture("a.png", (20, 10), [Thing(0, (3.2, 4, 0.5, 1))])])
        done = run(data, "voc", tmp_path / "out")
        found = read(done.data)
        assert not found.faults
        np.testing.assert_allclose(
            found.samples[0].pixel_edges((20, 10)), [[2.9495, 3.9995, 3.9505, 5.0005]], atol=1e-3
        )

    def test_boxes_follow_the_image_where_the_json_gives_another_size(self, tmp_path: Path) -> None:
        data = write_coco(tmp_path, [Picture("a.png", (20, 10), [Thing(0, (4, 2, 8, 4))])])
        png_header(tmp_path / "pics/a.png", (40, 20))
        found = read(run(data, "voc", tmp_path / "out").data)
        np.testing.assert_allclose(found.samples[0].pixel_edges((40, 20)), [[8, 4, 24, 12]])

    def test_boxes_are_not_scaled_where_the_jsons_size_is_of_another_shape(self, tmp_path: Path) -> None:
        data = write_coco(tmp_path, [Picture("a.png", (1024, 1024), [Thing(0, (4, 2, 8, 4))])])
        png_header(tmp_path / "pics/a.png", (40, 20))
        done = run(data, "voc", tmp_path / "out")
        np.testing.assert_allclose(read(done.data).samples[0].pixel_edges((40, 20)), [[4, 2, 12, 6]])
        assert list(done.faults.counts) == ["JSON gives another image size; the image's own is used"]


class TestDarknet:
    def test_difficult_objects_are_in_a_separate_list(self, tmp_path: Path) -> None:
        things = [
            Thing(0, (0, 0, 4, 4), {"difficult": 1}),
            Thing(1, (5, 5, 4, 4)),
            Thing(2, (1, 1, 9, 9), {"iscrowd": 1}),
        ]
        pics = [Picture("a.png", (20, 10), things), Picture("b.png", (20, 10))]
        done = run(write_coco(tmp_path, pics, "valid"), "darknet", tmp_path / "out")
        assert (tmp_path / "out/valid/a.txt").read_text() == "1 0.35 0.7 0.2 0.4\n"
        assert (
            tmp_path / "out/difficult/valid/a.txt"
        ).read_text().split() == "0 0.1 0.2 0.2 0.4 2 0.275 0.55 0.45 0.9".split()
        assert (tmp_path / "out/difficult/valid/b.txt").read_text() == ""
        assert (tmp_path / "out/valid.txt").read_text() == f"{tmp_path}/out/valid/a.png\n{tmp_path}/out/valid/b.png\n"
        assert "crowd region kept as a difficult object" in done.notes.summary()
        found = read(done.data, "valid")
        assert found.samples[0].difficult.tolist() == [False, True, True]
        assert not found.faults

    def test_without_difficult_objects_there_is_no_such_list(self, tmp_path: Path) -> None:
        done = run(
            write_coco(tmp_path, [Picture("a.png", (20, 10), [Thing(1, (5, 5, 4, 4))])]), "darknet", tmp_path / "o"
        )
        assert not any(line.startswith("difficult") for line in done.data.read_text().splitlines())
        assert not (tmp_path / "o/difficult").exists()

    def test_an_image_annotated_as_rotated_is_left_out_and_named(self, tmp_path: Path) -> None:
        pics = [
            Picture("a.png", (20, 10), [Thing(1, (5, 5, 4, 4))]),
            Picture("t.jpg", (30, 60), [Thing(0, (1, 1, 9, 9))]),
        ]
        data = write_coco(tmp_path, pics)
        turned_jpeg(tmp_path / "pics/t.jpg", (60, 30))
        done = run(data, "darknet", tmp_path / "out")
        assert done.counts["train"]["images"] == 1
        assert "t.jpg" in done.notes.summary()

    def test_an_out_folder_whose_labels_would_be_searched_for_elsewhere_is_refused(self, tmp_path: Path) -> None:
        data = write_coco(tmp_path, [Picture("a.png", (20, 10))])
        with pytest.raises(UsageError, match="inside a folder named images"):
            run(data, "darknet", tmp_path / "images/out")
        assert not (tmp_path / "images").exists()


class TestChoice:
    def data(self, folder: Path) -> DataFile:
        things = [
            Thing(0, (0, 0, 4, 4)),
            Thing(1, (5, 5, 4, 4), {"difficult": 1}),
            Thing(1, (1, 1, 9, 9), {"iscrowd": 1}),
        ]
        return write_coco(folder, [Picture("a.png", (20, 10), things), Picture("b.png", (20, 10), things[:1])])

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            (Choice(), [3, 1]),
            (Choice(classes=("dog",)), [2, 0]),
            (Choice(classes=("dog",), drop_empty=True), [2]),
            (Choice(drop_difficult=True), [2, 1]),
            (Choice(drop_crowd=True), [2, 1]),
            (Choice(classes=("dog",), drop_crowd=True, drop_difficult=True), [0, 0]),
        ],
    )
    def test_what_is_left_out_is_removed_and_counted(self, choice: Choice, expected: list[int], tmp_path: Path) -> None:
        done = run(self.data(tmp_path), "coco", tmp_path / "out", choice)
        found = read(done.data)
        assert [len(sample.classes) for sample in found.samples] == expected
        assert found.names == (choice.classes or NAMES)
        assert done.notes.total == 4 - sum(expected) + (2 - len(expected))

    def test_an_unknown_class_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is no 'horse'; there are cat, dog, cow"):
            run(self.data(tmp_path), "coco", tmp_path / "out", Choice(classes=("cat", "horse")))
        with pytest.raises(UsageError, match="twice"):
            run(self.data(tmp_path), "coco", tmp_path / "out", Choice(classes=("cat", "cat")))
        with pytest.raises(UsageError, match="no image is left"):
            run(self.data(tmp_path), "coco", tmp_path / "out", Choice(classes=("cow",), drop_empty=True))
        assert not (tmp_path / "out").exists()


class TestNames:
    @given(
        st.lists(
            st.sampled_from(["a/x.jpg", "b/x.jpg", "b/x.png", "b/X.jpg", "c c/x.jpg", "a-x.jpg", "x-2.jpg", "x.jpg"])
        )
    )
    def test_no_two_images_share_a_stem(self, paths: list[str]) -> None:
        names = unique_names([Path(path) for path in paths])
        assert len({Path(name).stem.casefold() for name in names}) == len(paths)
        assert not any(" " in name or "/" in name for name in names)
        assert [Path(name).suffix for name in names] == [Path(path).suffix for path in paths]

    def test_the_first_keeps_its_name_and_folders_distinguish_the_others(self) -> None:
        paths = [Path("/p/a/x.jpg"), Path("/p/b/x.jpg"), Path("/p/b/x.jpg"), Path("/p/y z.jpg")]
        assert unique_names(paths) == ["x.jpg", "b-x.jpg", "p-b-x.jpg", "y_z.jpg"]

    def test_equal_names_in_both_splits_of_a_voc_folder_are_made_unique(self, tmp_path: Path) -> None:
        first = write_coco(tmp_path, [Picture("a.png", (20, 10), [Thing(0, (0, 0, 4, 4))])])
        lines = [f"{split} = {first.train}\n{split}_images = {first.train_images}" for split in ("train", "valid")]
        done = run(write_descriptor(tmp_path, lines), "voc", tmp_path / "out")
        assert len(list((tmp_path / "out/Annotations").iterdir())) == 2
        assert len(read(done.data, "valid").samples[0].classes) == 1


class TestSafety:
    def data(self, folder: Path) -> DataFile:
        folder.mkdir()
        return write_coco(folder, [Picture("a.png", (20, 10), [Thing(0, (0, 0, 4, 4))])])

    def command(self, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["convert.py", *map(str, arguments)])
        return exit_code(main)

    def fail(self, folder: Path) -> None:
        with staged_folder(folder) as staging:
            (staging / "new").write_text("new")
            raise RuntimeError("no")

    def test_a_failure_leaves_nothing_and_does_not_change_an_old_result(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out/old").write_text("old")
        with pytest.raises(RuntimeError, match="no"):
            self.fail(tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert (tmp_path / "out/old").read_text() == "old"

    def test_the_inputs_are_unchanged(self, tmp_path: Path) -> None:
        data = self.data(tmp_path / "in")
        before = {path: path.read_bytes() for path in (tmp_path / "in").rglob("*") if path.is_file()}
        for to in ("coco", "voc", "darknet"):
            run(data, to, tmp_path / to)
        assert {path: path.read_bytes() for path in (tmp_path / "in").rglob("*") if path.is_file()} == before

    def test_an_out_folder_with_the_inputs_in_it_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="an input of this command"):
            run(self.data(tmp_path / "in"), "coco", tmp_path / "in")

    def test_only_an_earlier_conversion_is_overwritten(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data, out = self.data(tmp_path / "in"), tmp_path / "out"
        arguments = (data.path, "--to", "voc", "--out", out, "--images", "copy", "--quiet")
        assert self.command(monkeypatch, *arguments) == 0
        assert not (out / "JPEGImages/a.png").is_symlink()
        assert self.command(monkeypatch, *arguments) == 2
        assert "pass --overwrite" in capsys.readouterr().err
        assert self.command(monkeypatch, *arguments, "--overwrite") == 0
        (out / "summary.json").write_text("{}")
        assert self.command(monkeypatch, *arguments, "--overwrite") == 2
        assert "choose another --out" in capsys.readouterr().err

    def test_where_links_cannot_be_made_copying_is_suggested(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        data = self.data(tmp_path / "in")
        monkeypatch.setattr(os, "symlink", refuse)
        with pytest.raises(UsageError, match="pass --images copy"):
            run(data, "voc", tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["in"]

    def test_the_summary_and_the_closing_line_name_the_data_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data, out = self.data(tmp_path / "in"), tmp_path / "out"
        assert self.command(monkeypatch, data.path, "--to", "darknet", "--out", out) == 0
        assert f"ready: --data {out}/set.data" in capsys.readouterr().out
        summary = json.loads((out / "summary.json").read_text())
        assert summary["splits"] == {"train": {"images": 1, "objects": 1, "difficult": 0, "crowd": 0}}
        assert summary["outputs"][0]["path"] == str(out / "set.data")

    def test_a_missing_split_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = self.data(tmp_path / "in")
        assert self.command(monkeypatch, data.path, "--to", "voc", "--out", tmp_path / "o", "--split", "valid") == 2
        assert "has no 'valid = ...' line; add one" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["coco", "voc", "darknet"])
@pytest.mark.parametrize("name", ["a.jfif", "b.JPE", "c", "h\udcfc.png", "狗 1.png"])
def test_every_image_that_can_be_read_can_be_read_back(tmp_path: Path, name: str, to: Format) -> None:
    data = write_coco(tmp_path, [Picture("x.png", (20, 10), [Thing(1, (5, 5, 4, 4))]), Picture("y.png", (20, 10))])
    (tmp_path / "pics/x.png").rename(tmp_path / "pics" / name)
    text = (tmp_path / "train.json").read_text()
    (tmp_path / "train.json").write_text(text.replace('"x.png"', json.dumps(name)))
    found = read(run(data, to, tmp_path / "out").data)
    assert sorted(len(sample.classes) for sample in found.samples) == [0, 1]
    assert not found.faults


def test_the_old_folder_is_restored_if_the_new_one_cannot_replace_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old.txt").write_text("old")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(errno.EIO, "disk")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="disk"), staged_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out/old.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_to_a_folder_remains_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    run(write_coco(tmp_path, [Picture("a.png", (20, 10))]), "coco", tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk/annotations/instances_train.json").is_file()


@pytest.mark.parametrize("text", ["", ",", " , "])
def test_an_empty_choice_of_classes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names no class"):
        parse_names(text)
