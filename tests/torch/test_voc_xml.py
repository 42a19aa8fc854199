"""VOC image sets and their XML."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from prune.darknet.datafile import DataFile
from prune.errors import DataError
from prune.samples.read import read_samples
from tests.datasets import turned_jpeg
from tests.torch.sample_files import write_data, write_image


def voc_object(name: str, box: tuple[object, ...], more: str = "") -> str:
    corners = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{corners}</bndbox></object>"


class TestVoc:
    def write(self, folder: Path, xml: dict[str, str], names: str = "cat dog") -> DataFile:
        for sub in ("Annotations", "ImageSets/Main"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        for stem, text in xml.items():
            write_image(folder / "JPEGImages" / f"{stem}.jpg")
            if text:
                (folder / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{text}</annotation>")
        (folder / "ImageSets/Main/train.txt").write_text("".join(f"{stem}\n" for stem in xml))
        return write_data(folder, "ImageSets/Main/train.txt", names)

    def test_boxes_count_from_one_and_include_their_ends(self, tmp_path: Path) -> None:
        difficult = voc_object("cat", (1, 1, 40, 20), "<difficult>1</difficult>")
        text = f"<filename>wrong.png</filename>{difficult}{voc_object('dog', (11, 6, 20, 10))}"
        found = read_samples(self.write(tmp_path, {"a": text}), "train")
        (sample,) = found.samples
        assert found.source == "voc"
        assert sample.image == tmp_path / "JPEGImages" / "a.jpg"
        assert sample.size_wh == (40, 20)
        np.testing.assert_allclose(sample.boxes, [[0.5, 0.5, 1, 1], [0.375, 0.375, 0.25, 0.25]])
        assert sample.difficult.tolist() == [True, False]
        np.testing.assert_array_equal(sample.pixel_edges((40, 20)), [[0, 0, 40, 20], [10, 5, 20, 10]])
        np.testing.assert_array_equal(sample.pixel_boxes_xyxy((40, 20)), [[1, 1, 40, 20], [11, 6, 20, 10]])
        assert not found.faults

    def test_crowds_are_marked_and_objects_keep_their_positions_in_the_xml(self, tmp_path: Path) -> None:
        objects = (
            voc_object("cow", (1, 1, 9, 9)),
            voc_object("cat", (1, 1, 9, 9), "<difficult>1</difficult><crowd>1</crowd>"),
            voc_object("cat", (1, 1, 1, 9)),
            voc_object("dog", (1, 1, 9, 9), "<crowd>0</crowd>"),
        )
        (sample,) = read_samples(self.write(tmp_path, {"a": "".join(objects)}), "train").samples
        assert sample.crowd.tolist() == [True, False]
        assert sample.places is not None
        assert sample.places.tolist() == [1, 3]

    def test_faulty_objects_are_skipped_and_counted(self, tmp_path: Path) -> None:
        objects = (
            voc_object("cat", (5, 5, 5, 5)),
            voc_object("cat", (9, 5, 3, 8)),
            voc_object("cow", (1, 1, 9, 9)),
            voc_object("cat", ("x", 1, 9, 9)),
            voc_object("cat", (90, 1, 99, 9)),
            voc_object("cat", ("nan", 1, 9, 9)),
            "<object><name>cat</name></object>",
            voc_object("dog", (30, 10, 60, 30)),
        )
        found = read_samples(self.write(tmp_path, {"a": "".join(objects)}), "train")
        (sample,) = found.samples
        assert sample.classes.tolist() == [1]
        np.testing.assert_allclose(sample.boxes, [[34.5 / 40, 14.5 / 20, 11 / 40, 11 / 20]], rtol=1e-6)
        np.testing.assert_array_equal(sample.pixel_boxes_xyxy((40, 20)), [[30, 10, 60, 30]])
        assert found.faults.total == 7
        assert found.faults.counts["object skipped, box has no area"] == 2
        assert "object of class 'cow'" in found.faults.summary()

    def test_broken_or_missing_xml_and_images_do_not_stop_the_rest(self, tmp_path: Path) -> None:
        good = voc_object("cat", (1, 1, 9, 9))
        data = self.write(tmp_path, {"a": good, "b": "<object>", "c": "", "d": good, "e": good})
        (tmp_path / "JPEGImages/d.jpg").unlink()
        (tmp_path / "JPEGImages/e.jpg").write_bytes(b"no image")
        found = read_samples(data, "train")
        assert [(sample.image_id, len(sample.classes)) for sample in found.samples] == [("a", 1), ("c", 0)]
        assert found.faults.total == 4

    def test_the_images_own_size_is_used(self, tmp_path: Path) -> None:
        size = "<size><width>400</width><height>200</height></size>"
        found = read_samples(self.write(tmp_path, {"a": size + voc_object("cat", (1, 1, 20, 10))}), "train")
        np.testing.assert_allclose(found.samples[0].boxes, [[0.25, 0.25, 0.5, 0.5]])
        assert "another image size" in found.faults.summary()

    def test_an_annotation_of_the_rotated_image_is_recognised(self, tmp_path: Path) -> None:
        size = "<size><width>20</width><height>40</height></size>"
        data = self.write(tmp_path, {"a": size + voc_object("cat", (1, 1, 10, 40))})
        turned_jpeg(tmp_path / "JPEGImages/a.jpg", (40, 20))
        found = read_samples(data, "train")
        np.testing.assert_allclose(found.samples[0].boxes, [[0.25, 0.5, 0.5, 1]])
        assert found.samples[0].size_wh == (20, 40)
        assert not found.faults

    def test_mixed_up_width_and_height_are_not_a_rotation(self, tmp_path: Path) -> None:
        size = "<size><width>20</width><height>40</height></size>"
        objects = voc_object("cat", (11, 1, 40, 20)) + voc_object("dog", (25, 5, 40, 15))
        found = read_samples(self.write(tmp_path, {"a": size + objects}), "train")
        np.testing.assert_allclose(found.samples[0].boxes, [[0.625, 0.5, 0.75, 1], [0.8, 0.475, 0.4, 0.55]])
        assert found.samples[0].size_wh == (40, 20)
        assert list(found.faults.counts) == ["XML gives another image size; the image's own is used"]

    @pytest.mark.parametrize(("encoding", "name"), [("gbk", "白细胞"), ("big5", "白細胞"), ("latin-1", "Zürich")])
    def test_other_encodings_are_read_as_they_are_declared(self, tmp_path: Path, encoding: str, name: str) -> None:
        data = self.write(tmp_path, {"a": ""}, names=f"{name} dog")
        document = (
            f'<?xml version="1.0" encoding="{encoding}"?>\n<annotation>{voc_object(name, (1, 1, 20, 10))}</annotation>'
        )
        (tmp_path / "Annotations/a.xml").write_bytes(document.encode(encoding))
        found = read_samples(data, "train")
        assert found.samples[0].classes.tolist() == [0]
        assert not found.faults

    @pytest.mark.parametrize(
        "document",
        [b'<?xml version="1.0" encoding="foo"?><a/>', b'<?xml version="1.0" encoding="gbk"?><a>\xff\xff</a>'],
    )
    def test_an_unknown_or_wrong_encoding_is_counted(self, tmp_path: Path, document: bytes) -> None:
        data = self.write(tmp_path, {"a": "", "b": voc_object("cat", (1, 1, 9, 9))})
        (tmp_path / "Annotations/a.xml").write_bytes(document)
        found = read_samples(data, "train")
        assert [sample.image_id for sample in found.samples] == ["b"]
        assert list(found.faults.counts) == ["annotation is not in the encoding that it declares, image skipped"]

    def test_difficult_in_other_words(self, tmp_path: Path) -> None:
        flags = ("1", "True", "false", "no", "", "Unspecified")
        objects = "".join(
            voc_object("cat", (1, 1, 9, 9 + n), f"<difficult>{f}</difficult>") for n, f in enumerate(flags)
        )
        found = read_samples(self.write(tmp_path, {"a": objects}), "train")
        assert found.samples[0].difficult.tolist() == [True, True, False, False, False, False]
        assert found.faults.counts == {"<difficult> is neither 0 nor 1, read as 0": 1}

    def test_boxes_in_fractions_are_reported_as_a_fault(self, tmp_path: Path) -> None:
        found = read_samples(self.write(tmp_path, {"a": voc_object("cat", (0.1, 0.2, 0.9, 1.0))}), "train")
        (kind,) = found.faults.counts
        assert "in fractions of the image" in kind

    def test_an_annotation_that_is_a_web_page_or_a_pointer_is_recognised(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, {"a": voc_object("cat", (1, 1, 9, 9)), "b": "x", "c": "x"})
        (tmp_path / "Annotations/b.xml").write_text("<html><body></body></html>")
        (tmp_path / "Annotations/c.xml").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
        assert read_samples(data, "train").faults.counts == {
            "annotation is not XML but a web page, image skipped": 1,
            "annotation is not XML but a pointer of Git LFS (run 'git lfs pull'), image skipped": 1,
        }

    def test_an_annotation_in_utf16_is_read(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, {"a": "x"})
        document = f"<annotation>{voc_object('cat', (1, 1, 9, 9))}</annotation>"
        (tmp_path / "Annotations/a.xml").write_bytes(document.encode("utf-16"))
        assert read_samples(data, "train").samples[0].classes.tolist() == [0]

    @pytest.mark.parametrize("value", [5000 * "9", "1e999", "1e300", "9e18", "²", ""])
    def test_numbers_of_absurd_size_are_one_fault(self, tmp_path: Path, value: str) -> None:
        good = voc_object("cat", (1, 1, 9, 9))
        size = f"<size><width>{value}</width><height>{value}</height></size>"
        found = read_samples(self.write(tmp_path, {"a": size + good + voc_object("cat", (1, 1, 9, value))}), "train")
        assert found.samples[0].classes.tolist() == [0]
        assert found.faults.total == 1
        assert all(len(line) < 300 for line in found.faults.lines())

    def test_a_pipe_among_the_images_is_not_waited_for(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, {"a": voc_object("cat", (1, 1, 9, 9)), "b": "x"})
        (tmp_path / "JPEGImages/b.jpg").unlink()
        os.mkfifo(tmp_path / "JPEGImages/b.jpg")
        assert read_samples(data, "train").faults.counts == {"listed image does not exist": 1}

    def test_an_image_listed_twice_has_unique_ids(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, {"a": voc_object("cat", (1, 1, 9, 9)), "b": ""})
        for listed in tmp_path.rglob("ImageSets/**/*.txt"):
            listed.write_text("a\nb\na\n")
        assert [sample.image_id for sample in read_samples(data, "train").samples] == ["a", "b", "a#2"]

    def test_no_known_class_is_an_error_that_names_both_sides(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, {"a": voc_object("cow", (1, 1, 9, 9))})
        with pytest.raises(DataError, match=r"'names' \(cat, dog …\); the XML has: cow"):
            read_samples(data, "train")

    def test_no_xml_or_no_image_at_all_is_an_error(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, {"a": "", "b": ""})
        with pytest.raises(DataError, match="no image has its XML"):
            read_samples(data, "train")
        for stem in "ab":
            (tmp_path / f"JPEGImages/{stem}.jpg").unlink()
        with pytest.raises(DataError, match="no usable image"):
            read_samples(data, "train")
