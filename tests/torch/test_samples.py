"""Image lists, what is skipped, and real data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from prune.darknet.datafile import DataFile, read_datafile
from prune.errors import DataError
from prune.samples.issues import Issues
from prune.samples.read import Split, read_samples
from prune.samples.sample import SampleSet
from tests.shared import SHARED, needs_shared
from tests.torch.sample_files import write_data, write_image


def write_list(folder: Path, labels: dict[str, str | None]) -> DataFile:
    for stem, text in labels.items():
        write_image(folder / "images" / f"{stem}.jpg")
        (folder / "labels").mkdir(exist_ok=True)
        if text is not None:
            (folder / "labels" / f"{stem}.txt").write_text(text)
    (folder / "train.txt").write_text("".join(f"images/{stem}.jpg\n" for stem in labels))
    return write_data(folder, "train.txt")


class TestImageList:
    def test_images_and_labels_are_read(self, tmp_path: Path) -> None:
        data = write_list(tmp_path, {"a": "1 .5 .5 .5 .5\n", "b": "", "c": "0 .5 .5 .1 .1\n1 9\n", "d": None})
        found = read_samples(data, "train")
        assert [sample.image_id for sample in found.samples] == ["a", "b", "c", "d"]
        assert [len(sample.classes) for sample in found.samples] == [1, 0, 1, 0]
        assert found.source == "list"
        assert found.faults.total == 2
        assert "c.txt:2" in found.faults.summary()
        assert "without a label file" in found.faults.summary()

    def test_a_missing_image_is_counted_with_its_line(self, tmp_path: Path) -> None:
        data = write_list(tmp_path, {"a": ""})
        (tmp_path / "train.txt").write_text("images/no.jpg\n\nimages/a.jpg\n")
        found = read_samples(data, "train")
        assert len(found) == 1
        assert "train.txt:1" in found.faults.summary()

    def test_no_image_at_all_is_an_error(self, tmp_path: Path) -> None:
        data = write_list(tmp_path, {"a": ""})
        (tmp_path / "train.txt").write_text("x.jpg\ny.jpg\n")
        with pytest.raises(DataError, match=r"none of the 2 listed images exists \(first: 'x\.jpg'\)"):
            read_samples(data, "train")
        (tmp_path / "train.txt").write_text("\n \n")
        with pytest.raises(DataError, match="is empty"):
            read_samples(data, "train")

    def test_no_label_at_all_is_an_error_that_names_the_searched_places(self, tmp_path: Path) -> None:
        data = write_list(tmp_path, {"a": None, "b": None})
        with pytest.raises(DataError, match=r"none of the 2 images has a label file .*labels.a\.txt"):
            read_samples(data, "train")

    def test_equal_stems_get_different_ids(self, tmp_path: Path) -> None:
        for folder in ("p", "q"):
            write_image(tmp_path / folder / "a.jpg")
            (tmp_path / folder / "a.txt").write_text("0 .5 .5 .5 .5")
        (tmp_path / "train.txt").write_text("p/a.jpg\nq/a.jpg\nq/a.jpg\n")
        found = read_samples(write_data(tmp_path, "train.txt"), "train")
        assert len({sample.image_id for sample in found.samples}) == 3

    def test_darknets_difficult_list_marks_objects_of_the_validation_images(self, tmp_path: Path) -> None:
        write_list(tmp_path, {"a": "0 .5 .5 .5 .5", "b": "1 .5 .5 .5 .5"})
        for stem, text in (("a", "1 .2 .2 .1 .1"), ("b", "")):
            write_image(tmp_path / "hard" / f"{stem}.jpg")
            (tmp_path / "hard" / f"{stem}.txt").write_text(text)
        (tmp_path / "hard.txt").write_text(f"{tmp_path}/hard/a.jpg\n{tmp_path}/hard/b.jpg\n")
        data = write_data(tmp_path, "train.txt", extra="valid=train.txt\ndifficult=hard.txt\n")
        a, b = read_samples(data, "valid").samples
        assert a.difficult.tolist() == [False, True]
        assert a.classes.tolist() == [0, 1]
        assert b.difficult.tolist() == [False]
        assert not any(sample.difficult.any() for sample in read_samples(data, "train").samples)

    def test_a_difficult_list_that_leads_nowhere_or_elsewhere_is_reported(self, tmp_path: Path) -> None:
        for stem in "ab":
            write_image(tmp_path / f"{stem}.jpg")
            (tmp_path / f"{stem}.txt").write_text("0 .5 .5 .2 .2\n")
        (tmp_path / "train.txt").write_text("a.jpg\nb.jpg\n")
        data = write_data(tmp_path, "train.txt", extra="valid=train.txt\ndifficult=hard.txt\n")
        (tmp_path / "hard.txt").write_text("no/a.jpg\nno/b.jpg\n")
        with pytest.raises(
            DataError, match=r"hard\.txt:1: none of its 2 lines leads to a label file \(first: 'no/a.jpg'\)"
        ):
            read_samples(data, "valid")
        (tmp_path / "hard").mkdir()
        (tmp_path / "hard/a.txt").write_text("1 .5 .5 .2 .2\n")
        (tmp_path / "hard.txt").write_text("hard\\a.jpg\r\nhard\\b.jpg\r\n")
        found = read_samples(data, "valid")
        assert [sample.difficult.tolist() for sample in found.samples] == [[False, True], [False]]
        assert found.faults.places("no label file of difficult objects") == (f"{tmp_path}/hard.txt:2",)
        (tmp_path / "hard.txt").write_text("hard/b.jpg\nhard/a.jpg\n")
        with pytest.raises(DataError, match=r"hard\.txt:1: names b, but the same line of the images names a"):
            read_samples(data, "valid")

    def test_the_difficult_objects_of_training_images_have_their_own_list(self, tmp_path: Path) -> None:
        write_list(tmp_path, {"a": "0 .5 .5 .5 .5"})
        (tmp_path / "hard").mkdir()
        (tmp_path / "hard/a.txt").write_text("1 .2 .2 .1 .1")
        (tmp_path / "hard.txt").write_text("hard/a.jpg\n")  # found beside the list; the image need not exist
        data = write_data(tmp_path, "train.txt", extra="valid=train.txt\ntrain_difficult=hard.txt\n")
        assert read_samples(data, "train").samples[0].difficult.tolist() == [False, True]
        assert read_samples(data, "valid").samples[0].difficult.tolist() == [False]

    def test_lines_written_on_windows_are_read(self, tmp_path: Path) -> None:
        data = write_list(tmp_path, {"a": "0 .5 .5 .5 .5"})
        (tmp_path / "train.txt").write_bytes(b"images\\a.jpg\r\n")
        assert len(read_samples(data, "train").samples[0].classes) == 1

    @pytest.mark.parametrize("line", ["images\\a.jpg", ".\\images\\a.jpg", "~nosuchuser\\x.jpg\r\nimages/a.jpg"])
    def test_every_path_format_of_windows_is_read(self, tmp_path: Path, line: str) -> None:
        data = write_list(tmp_path, {"a": "0 .5 .5 .5 .5"})
        (tmp_path / "train.txt").write_bytes(f"{line}\r\n".encode())
        assert [sample.image.name for sample in read_samples(data, "train").samples] == ["a.jpg"]

    def test_polygons_are_read_as_the_box_around_them_and_remarked(self, tmp_path: Path) -> None:
        triangle, quad = "1 .2 .1 .6 .3 .4 .5", "0 .1 .1 .5 .1 .5 .6 .1 .6"
        found = read_samples(write_list(tmp_path, {"a": f"{triangle}\n0 .5 .5 .2 .2\n{quad}\n"}), "train")
        (sample,) = found.samples
        np.testing.assert_allclose(sample.boxes, [[0.4, 0.3, 0.4, 0.4], [0.5, 0.5, 0.2, 0.2], [0.3, 0.35, 0.4, 0.5]])
        assert sample.classes.tolist() == [1, 0, 0]
        assert not found.faults
        (kind,) = found.remarks.counts
        assert kind.startswith("label line is a polygon, the box around it is used")
        assert found.remarks.places(kind) == (f"{tmp_path}/labels/a.txt:1", f"{tmp_path}/labels/a.txt:3")

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("0 .1 .1 .5 .1 .5 .6 .1", "not five numbers"),
            ("0 .1 .1 .5 .1 .5 x", "not five numbers"),
            ("0 10 10 50 10 50 60", "box is not in fractions of the image (0 … 1)"),
            ("7 .1 .1 .5 .1 .5 .6", "class is not in 0 … 1"),
            ("0 .1 .1 .1 .1 .1 .6", "box has no area"),
            ("0 .1 .1 .5 .1 .5 inf", "not five numbers"),
            ("0 1e308 .1 -1e308 .1 .5 .2", "a number is not finite"),
        ],
    )
    def test_what_is_not_a_polygon_is_skipped_and_named(self, tmp_path: Path, line: str, reason: str) -> None:
        found = read_samples(write_list(tmp_path, {"a": f"{line}\n0 .5 .5 .2 .2\n"}), "train")
        assert len(found.samples[0].classes) == 1
        assert found.faults.counts == {f"label line skipped, {reason}": 1}
        assert not found.remarks

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("0 .5 .5 .5 .5\n".encode("utf-16"), "it is UTF-16 text, save it as UTF-8"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "it is a pointer of Git LFS (run 'git lfs pull')"),
            (b"<html>", "it is a web page"),
            (b"\1\0\2", "it contains NUL bytes"),
        ],
    )
    def test_a_label_file_that_is_not_text_is_one_fault(self, tmp_path: Path, content: bytes, message: str) -> None:
        data = write_list(tmp_path, {"a": "", "b": "0 .5 .5 .5 .5"})
        (tmp_path / "labels/a.txt").write_bytes(content)
        found = read_samples(data, "train")
        (kind,) = found.faults.counts
        assert kind.startswith("label file skipped, not plain text: ")
        assert message in kind
        assert found.faults.places(kind) == (f"{tmp_path}/labels/a.txt",)
        assert [len(sample.classes) for sample in found.samples] == [0, 1]

    def test_a_list_that_is_a_web_page_or_a_pipe_is_refused(self, tmp_path: Path) -> None:
        data = write_list(tmp_path, {"a": "0 .5 .5 .5 .5"})
        (tmp_path / "train.txt").write_text("<!DOCTYPE html>\n<title>404</title>")
        with pytest.raises(DataError, match=r"train\.txt: is a web page, not the file itself"):
            read_samples(data, "train")
        (tmp_path / "train.txt").unlink()
        os.mkfifo(tmp_path / "train.txt")
        with pytest.raises(DataError, match=r"train\.txt: is a pipe or a device"):
            read_samples(data, "train")

    def test_a_label_that_is_a_pipe_is_refused(self, tmp_path: Path) -> None:
        data = write_list(tmp_path, {"a": None})
        os.mkfifo(tmp_path / "labels/a.txt")
        with pytest.raises(DataError, match=r"labels/a\.txt: is a pipe or a device"):
            read_samples(data, "train")

    def test_another_encoding_of_the_list_is_suggested_where_nothing_is_found(self, tmp_path: Path) -> None:
        data = write_list(tmp_path, {"a": "0 .5 .5 .5 .5"})
        (tmp_path / "train.txt").write_bytes("训练集/a.jpg\n".encode("gbk"))
        with pytest.raises(DataError, match="or save the list as UTF-8"):
            read_samples(data, "train")

    def test_some_objects_of_a_sample_can_be_selected(self, tmp_path: Path) -> None:
        sample = read_samples(write_list(tmp_path, {"a": "1 .5 .5 .5 .5\n0 .2 .2 .1 .1"}), "train").samples[0]
        part = sample.only(np.array([False, True]))
        assert part.classes.tolist() == [0]
        assert (len(part.boxes), len(part.difficult), len(part.crowd)) == (1, 1, 1)

    def test_a_list_that_is_neither_of_images_nor_of_voc_ids_is_explained(self, tmp_path: Path) -> None:
        (tmp_path / "train.txt").write_text("\n000001\n")
        data = write_data(tmp_path, "train.txt")
        with pytest.raises(DataError, match=r"train\.txt:2: '000001' has no image suffix.*not a VOC") as caught:
            read_samples(data, "train")
        assert "\n" not in str(caught.value)

    def test_a_folder_is_not_a_list(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"set\.data:3: train: .* is a folder"):
            read_samples(write_data(tmp_path, "."), "train")


class TestFaults:
    def test_kinds_are_counted_and_the_first_places_named(self) -> None:
        faults, more = Issues(named=2), Issues()
        for line in range(1, 4):
            faults.add("bad", f"a.txt:{line}")
        more.add("bad", "b.txt:1")
        more.add("worse", "c.txt")
        faults.merge(more)
        assert faults.counts == {"bad": 4, "worse": 1}
        assert faults.summary() == "4 × bad: a.txt:1, a.txt:2, …\n1 × worse: c.txt"
        assert faults.places("bad") == ("a.txt:1", "a.txt:2", "a.txt:3", "b.txt:1")
        assert faults.places("good") == ()
        assert faults.total == 5
        assert not Issues()


@needs_shared
class TestRealData:
    def read(self, folder: Path, text: str, split: Split) -> SampleSet:
        (folder / "x.data").write_text(text)
        return read_samples(read_datafile(folder / "x.data"), split)

    def test_bccd_is_read_without_its_two_empty_boxes(self, tmp_path: Path) -> None:
        (tmp_path / "b.names").write_text("RBC\nWBC\nPlatelets\n")
        sets = SHARED / "bccd/ImageSets/Main"
        text = f"classes=3\nnames=b.names\ntrain={sets}/trainval.txt\nvalid={sets}/test.txt\n"
        train, test = self.read(tmp_path, text, "train"), self.read(tmp_path, text, "valid")
        assert (len(train), len(test)) == (292, 72)
        assert train.faults.counts == {"object skipped, box has no area": 2}
        assert "BloodImage_00338" in train.faults.summary()
        assert sum(len(sample.classes) for sample in (*train.samples, *test.samples)) == 4886
        assert sum(int((sample.classes == 2).sum()) for sample in test.samples) == 69

    def test_coco_mini_maps_by_order_and_keeps_its_crowds(self, tmp_path: Path) -> None:
        coco = SHARED / "coco-mini"
        text = (
            f"classes=80\nnames={SHARED}/weights/coco.names\nvalid_images={coco}/val2017\n"
            f"valid={coco}/annotations/instances_val2017.json\n"
        )
        found = self.read(tmp_path, text, "valid")
        assert len(found) == 79
        assert sum(len(sample.classes) for sample in found.samples) == 624
        assert sum(int(sample.crowd.sum()) for sample in found.samples) == 5
        assert found.category_ids is not None
        assert found.category_ids[:3] + found.category_ids[-1:] == (1, 2, 3, 90)
        assert not found.faults
