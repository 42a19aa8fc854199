"""COCO instances."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prune.darknet.datafile import DataFile
from prune.errors import DataError
from prune.samples.read import read_samples
from tests.datasets import turned_jpeg
from tests.torch.sample_files import write_data, write_image


def coco_annotation(image: int, category: int, box: object, **more: object) -> dict[str, Any]:
    return {
        "id": 7,
        "image_id": image,
        "category_id": category,
        "bbox": box,
        "iscrowd": 0,
        "area": 5.0,
        **more,
    }


class TestCoco:
    CATEGORIES = ({"id": 18, "name": "hound"}, {"id": 3, "name": "puss"})

    def write(
        self,
        folder: Path,
        annotations: list[dict[str, Any]],
        names: str = "cat dog",
        categories: tuple[dict[str, object], ...] = CATEGORIES,
    ) -> DataFile:
        write_image(folder / "pics" / "a.jpg")
        images = [{"id": 0, "file_name": "a.jpg", "width": 40, "height": 20}, {"id": 1, "file_name": "b.jpg"}]
        content = {"images": images, "annotations": annotations, "categories": list(categories)}
        (folder / "train.json").write_text(json.dumps(content))
        return write_data(folder, "train.json", names, extra="train_images=pics\n")

    def test_everything_an_evaluation_needs_is_kept(self, tmp_path: Path) -> None:
        crowd = coco_annotation(0, 18, [0, 0, 40, 20], iscrowd=1, id=0, area=800)
        found = read_samples(self.write(tmp_path, [crowd, coco_annotation(0, 3, [10, 5, 10.5, 5])]), "train")
        (sample,) = found.samples
        assert (found.source, found.category_ids) == ("coco", (3, 18))
        assert found.annotations == tmp_path / "train.json"
        assert sample.image_id == 0
        assert sample.classes.tolist() == [1, 0]
        assert sample.crowd.tolist() == [True, False]
        np.testing.assert_array_equal(sample.pixel_edges((40, 20)), [[0, 0, 40, 20], [10, 5, 20.5, 10]])
        assert sample.areas is not None
        assert sample.areas.tolist() == [800, 5]
        assert sample.places is not None
        assert sample.places.tolist() == [0, 1]
        assert "b.jpg" in found.faults.summary()

    def test_faulty_annotations_are_skipped_and_counted(self, tmp_path: Path) -> None:
        faulty = [
            coco_annotation(0, 5, [0, 0, 4, 4]),
            coco_annotation(0, 3, [0, 0, 0, 4]),
            coco_annotation(0, 3, [0, 0, 4]),
            coco_annotation(0, 3, None),
            coco_annotation(0, 3, [float("nan"), 0, 4, 4]),
            coco_annotation(99, 3, [0, 0, 4, 4]),
        ]
        found = read_samples(self.write(tmp_path, [*faulty, coco_annotation(0, 3, [0, 0, 4, 4])]), "train")
        assert found.samples[0].classes.tolist() == [0]
        assert found.faults.total == len(faulty) + 1  # and the missing b.jpg

    def test_numbers_without_end_are_faults_like_others(self, tmp_path: Path) -> None:
        annotations = [
            coco_annotation(0, 3, [10**400, 0, 4, 4]),
            coco_annotation(0, 3, [0, 0, 4, 4], area=10**400, id=10**30),
        ]
        data = self.write(tmp_path, annotations)
        found = read_samples(data, "train")
        assert found.samples[0].areas is not None
        assert found.samples[0].areas.tolist() == [16]
        assert found.faults.counts["object skipped, box is not four finite numbers"] == 1
        text = (tmp_path / "train.json").read_text()
        (tmp_path / "train.json").write_text(text.replace('"id": 3', '"id": Infinity'))
        with pytest.raises(DataError, match="no numeric 'id'"):
            read_samples(data, "train")
        (tmp_path / "train.json").write_text(text.replace('"id": 3', '"id": ' + 5000 * "9"))
        with pytest.raises(DataError, match="a number is too long"):
            read_samples(data, "train")

    def test_mixed_up_sides_are_corrected_and_reported_but_a_rotated_image_is_neither(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, [coco_annotation(0, 3, [30, 0, 10, 20])])
        text = (tmp_path / "train.json").read_text()
        (tmp_path / "train.json").write_text(text.replace('"width": 40, "height": 20', '"width": 20, "height": 40'))
        found = read_samples(data, "train")
        assert found.samples[0].size_wh == (40, 20)
        np.testing.assert_allclose(found.samples[0].boxes, [[0.875, 0.5, 0.25, 1]])
        assert found.faults.counts["JSON gives another image size; the image's own is used"] == 1
        turned_jpeg(tmp_path / "pics/a.jpg", (40, 20))
        (tmp_path / "train.json").write_text(
            (tmp_path / "train.json").read_text().replace("[30, 0, 10, 20]", "[0, 30, 20, 10]")
        )
        found = read_samples(data, "train")
        assert found.samples[0].size_wh == (20, 40)
        np.testing.assert_allclose(found.samples[0].boxes, [[0.5, 0.875, 1, 0.25]])
        assert list(found.faults.counts) == ["listed image does not exist"]

    def test_a_duplicate_id_and_an_impossible_file_name_are_skipped(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, [coco_annotation(0, 3, [0, 0, 4, 4])])
        content = json.loads((tmp_path / "train.json").read_text())
        content["images"] += [{"id": 0, "file_name": "b.jpg"}, {"id": 5, "file_name": 300 * "x" + ".jpg"}]
        (tmp_path / "train.json").write_text("\ufeff" + json.dumps(content))
        found = read_samples(data, "train")
        assert [sample.image_id for sample in found.samples] == [0]
        assert found.faults.counts["image record skipped, duplicate id"] == 1
        assert found.faults.counts["listed image does not exist"] == 2

    def test_an_id_counts_as_taken_only_by_an_image_that_can_be_used(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, [coco_annotation(0, 3, [0, 0, 4, 4])])
        content = json.loads((tmp_path / "train.json").read_text())
        content["images"] = [{"id": 0, "file_name": "gone.jpg"}, {"id": 0, "file_name": "a.jpg"}]
        (tmp_path / "train.json").write_text(json.dumps(content))
        found = read_samples(data, "train")
        assert [(sample.image.name, len(sample.classes)) for sample in found.samples] == [("a.jpg", 1)]
        assert list(found.faults.counts) == ["listed image does not exist"]

    @pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 1)])
    def test_a_placeholder_size_is_ignored(self, tmp_path: Path, size: tuple[int, int]) -> None:
        data = self.write(tmp_path, [coco_annotation(0, 3, [30, 10, 10, 10])])
        write_image(tmp_path / "pics/a.jpg", (640, 427))
        text = (tmp_path / "train.json").read_text()
        sized = f'"width": {size[0]}, "height": {size[1]}'
        (tmp_path / "train.json").write_text(text.replace('"width": 40, "height": 20', sized))
        found = read_samples(data, "train")
        assert (found.samples[0].size_wh, len(found.samples[0].classes)) == ((640, 427), 1)

    def test_a_name_at_another_place_is_reported(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        data = self.write(tmp_path, [coco_annotation(0, 3, [0, 0, 4, 4])], names="hound cat")
        assert read_samples(data, "train").samples[0].classes.tolist() == [0]
        assert "category 2 is 'hound', but line 2 of 'names' is 'cat'" in caplog.text

    def test_categories_that_names_leaves_out_are_one_fault_each(self, tmp_path: Path) -> None:
        box = [0, 0, 4, 4]
        annotations = [coco_annotation(0, 3, box), coco_annotation(0, 3, box), coco_annotation(0, 18, box)]
        found = read_samples(self.write(tmp_path, annotations, names="hound"), "train")
        kind = "category that is not in 'names', its objects are skipped"
        assert found.faults.counts[kind] == 1
        assert found.faults.places(kind) == (f"{tmp_path}/train.json ('puss', 2 objects)",)

    def test_difficult_objects_are_marked(self, tmp_path: Path) -> None:
        annotations = [coco_annotation(0, 3, [0, 0, 4, 4], difficult=1), coco_annotation(0, 3, [0, 0, 4, 4])]
        (sample,) = read_samples(self.write(tmp_path, annotations), "train").samples
        assert sample.difficult.tolist() == [True, False]

    def test_where_the_counts_differ_names_decide(self, tmp_path: Path) -> None:
        box = [0, 0, 4, 4]
        annotations = [coco_annotation(0, 3, box), coco_annotation(0, 18, box)]
        found = read_samples(self.write(tmp_path, annotations, names="hound"), "train")
        assert found.samples[0].classes.tolist() == [0]
        assert found.category_ids == (18,)
        found = read_samples(self.write(tmp_path, annotations, names="cow hound puss"), "train")
        assert found.samples[0].classes.tolist() == [2, 1]
        assert found.category_ids == (-1, 18, 3)

    def test_the_same_names_in_another_order_decide_too(self, tmp_path: Path) -> None:
        annotations = [coco_annotation(0, 3, [0, 0, 4, 4])]
        found = read_samples(self.write(tmp_path, annotations, names="hound puss"), "train")
        assert found.samples[0].classes.tolist() == [1]

    def test_categories_that_do_not_map_are_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="2 categories but 'names' has 3, and 'cow'"):
            read_samples(self.write(tmp_path, [], names="cow hound horse"), "train")

    @pytest.mark.parametrize("spell", [float, str, lambda number: f"{number:04d}"])
    def test_ids_are_numbers_however_they_are_written(self, tmp_path: Path, spell: Callable[[int], object]) -> None:
        write_image(tmp_path / "pics" / "a.jpg")
        boxes = [coco_annotation(1, 3, [0, 0, 4, 4]), coco_annotation(1, 18, [4, 4, 8, 8])]
        plain = {"images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 20}], "annotations": boxes}
        plain["categories"] = [dict(category) for category in self.CATEGORIES]
        for part, keys in (("images", ["id"]), ("annotations", ["image_id", "category_id"]), ("categories", ["id"])):
            content = json.loads(json.dumps(plain))
            for record in content[part]:
                record.update({key: spell(record[key]) for key in keys})
            (tmp_path / "train.json").write_text(json.dumps(content))
            found = read_samples(write_data(tmp_path, "train.json", extra="train_images=pics\n"), "train")
            assert found.samples[0].classes.tolist() == [0, 1], part
            assert found.category_ids == (3, 18)
            assert not found.faults

    def test_an_ambiguous_image_id_finds_no_image(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, [coco_annotation(7, 3, [0, 0, 4, 4])])
        write_image(tmp_path / "pics" / "b.jpg")
        content = json.loads((tmp_path / "train.json").read_text())
        content["images"] = [{"id": "7", "file_name": "a.jpg"}, {"id": "07", "file_name": "b.jpg"}]
        (tmp_path / "train.json").write_text(json.dumps(content))
        found = read_samples(data, "train")
        assert [len(sample.classes) for sample in found.samples] == [0, 0]
        assert found.faults.counts == {"annotation of an image that the JSON does not contain": 1}

    def test_a_size_in_floats_is_a_size(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, [coco_annotation(0, 3, [10, 5, 20, 20])])
        text = (tmp_path / "train.json").read_text()
        (tmp_path / "train.json").write_text(text.replace('"width": 40, "height": 20', '"width": 80.0, "height": 40.0'))
        assert read_samples(data, "train").samples[0].size_wh == (80, 40)

    def test_two_names_of_one_category_are_an_error(self, tmp_path: Path) -> None:
        categories: tuple[dict[str, object], ...] = ({"id": 3, "name": "puss"}, {"id": "3", "name": "hound"})
        with pytest.raises(DataError, match="the categories 'puss' and 'hound' have the same id, 3"):
            read_samples(self.write(tmp_path, [], categories=categories), "train")

    def test_file_names_written_on_windows_are_read(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, [coco_annotation(0, 3, [0, 0, 4, 4])])
        write_image(tmp_path / "pics/day 1/a.jpg")
        text = (tmp_path / "train.json").read_text()
        (tmp_path / "train.json").write_text(text.replace("a.jpg", "day 1\\\\a.jpg"))
        assert read_samples(data, "train").samples[0].image == tmp_path / "pics/day 1/a.jpg"

    @pytest.mark.parametrize(
        "segmentation", [[[4, 2, 14, 2, 14, 12]], [4, 2, 14, 2, 14, 12], [[4, 2, 9, 2, 9, 5], [9, 3, 14, 3, 14, 12.0]]]
    )
    @pytest.mark.parametrize("box", ["absent", None, []])
    def test_without_a_box_the_one_around_the_polygon_is_used(
        self, tmp_path: Path, segmentation: list[Any], box: object
    ) -> None:
        annotation = coco_annotation(0, 3, box, segmentation=segmentation)
        if box == "absent":
            del annotation["bbox"]
        found = read_samples(self.write(tmp_path, [annotation]), "train")
        np.testing.assert_array_equal(found.samples[0].pixel_edges((40, 20)), [[4, 2, 14, 12]])
        assert found.remarks.counts == {"object without a box, the box around its polygon is used": 1}
        assert list(found.faults.counts) == ["listed image does not exist"]

    @pytest.mark.parametrize(
        ("segmentation", "reason"),
        [
            ({"counts": "abc", "size": [20, 40]}, "it has no box, and its segmentation is run-length encoded"),
            (None, "it has no box and no polygon"),
            ([], "it has no box and no polygon"),
            ([[1, 2, 3, 4]], "it has no box, and its polygon is not a list of at least three points x, y"),
            ([[1, 2, 3, 4, 5, 6, 7]], "it has no box, and its polygon is not a list of at least three points x, y"),
            ([[1, 2, 3, 4, 5, "6"]], "it has no box, and its polygon is not a list of at least three points x, y"),
            ([[1, 2, 3, 4, 5, 10**400]], "it has no box, and its polygon is not a list of at least three points x, y"),
            ([7], "it has no box, and its polygon is not a list of at least three points x, y"),
        ],
    )
    def test_an_object_with_neither_is_named(self, tmp_path: Path, segmentation: object, reason: str) -> None:
        faulty = coco_annotation(0, 3, None, segmentation=segmentation)
        found = read_samples(self.write(tmp_path, [faulty, coco_annotation(0, 3, [0, 0, 4, 4])]), "train")
        assert len(found.samples[0].classes) == 1
        assert found.faults.counts[f"object skipped, {reason}"] == 1

    def test_boxes_in_fractions_are_reported_as_a_fault(self, tmp_path: Path) -> None:
        annotations = [coco_annotation(0, 3, [0.1, 0.2, 0.5, 0.8]), coco_annotation(0, 18, [3, 3, 0.9, 0.9])]
        found = read_samples(self.write(tmp_path, annotations), "train")
        kinds = [kind for kind in found.faults.counts if "fractions of the image" in kind]
        assert [found.faults.counts[kind] for kind in kinds] == [1]
        assert len(found.samples[0].classes) == 2

    @pytest.mark.parametrize(
        "changes",
        [
            {"bbox": "1,2,3,4"},
            {"bbox": {"x": 1}},
            {"bbox": [1e308, 0, 1e308, 4]},
            {"bbox": [0, 0, 1e300, 4]},
            {"bbox": [0, 0, 4, 1 << 40]},
            {"category_id": [3]},
            {"category_id": 5000 * "9"},
            {"image_id": {"a": 1}},
            {"image_id": 1e300},
        ],
    )
    def test_values_of_absurd_size_or_type_are_one_fault(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        faulty = coco_annotation(0, 3, [0, 0, 4, 4]) | changes | {"id": 5000 * "x"}
        found = read_samples(self.write(tmp_path, [faulty, coco_annotation(0, 3, [0, 0, 4, 4])]), "train")
        assert len(found.samples[0].classes) == 1
        assert found.faults.total == 2  # and the missing b.jpg
        assert all(len(line) < 400 for line in found.faults.lines())

    @pytest.mark.parametrize("category", [{"id": 3, "name": ["puss"]}, {"id": True, "name": "puss"}, {"name": "puss"}])
    def test_a_category_of_absurd_type_is_one_line(self, tmp_path: Path, category: dict[str, object]) -> None:
        with pytest.raises(DataError, match="a category has no numeric 'id' or no 'name'"):
            read_samples(self.write(tmp_path, [], categories=(category,)), "train")

    def test_an_image_that_is_a_pointer_of_git_lfs_is_recognised(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, [])
        (tmp_path / "pics/b.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
        kind = "image cannot be decoded: it is a pointer of Git LFS (run 'git lfs pull')"
        assert read_samples(data, "train").faults.counts == {kind: 1}

    def test_the_image_folder_must_be_given(self, tmp_path: Path) -> None:
        self.write(tmp_path, [])
        with pytest.raises(DataError, match="no 'train_images"):
            read_samples(write_data(tmp_path, "train.json"), "train")
        with pytest.raises(DataError, match=r"set\.data:4: train_images: .* must be the folder"):
            read_samples(write_data(tmp_path, "train.json", extra="train_images=train.json\n"), "train")

    def test_a_file_that_is_not_an_instances_json_is_an_error(self, tmp_path: Path) -> None:
        data = self.write(tmp_path, [])
        (tmp_path / "train.json").write_text('{"images": [],\n oops')
        with pytest.raises(DataError, match=r"train\.json:2: is not JSON"):
            read_samples(data, "train")
        for content in ("[]", '{"images": []}', '{"images": [1], "annotations": [], "categories": []}'):
            (tmp_path / "train.json").write_text(content)
            with pytest.raises(DataError, match="no list of objects under"):
                read_samples(data, "train")
