"""Label files: where they are, and their lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.samples.issues import Issues
from prune.samples.labels import label_candidates, overhangs, parse_labels


class TestLabelPaths:
    @pytest.mark.parametrize(
        ("image", "label"),
        [
            ("/d/images/train2017/a.jpg", "/d/labels/train2017/a.txt"),
            ("/d/VOC2007/JPEGImages/a.jpg", "/d/VOC2007/labels/a.txt"),
            ("/d/images-v2/images/a.b.png", "/d/images-v2/labels/a.b.txt"),
            ("/images/x/images/y/a.jpg", "/images/x/labels/y/a.txt"),
            ("images/a.jpg", "labels/a.txt"),
            ("/d/my-images/a.jpg", "/d/my-images/a.txt"),
            ("/d/images", "/d/images.txt"),
        ],
    )
    def test_the_last_image_folder_is_replaced(self, image: str, label: str) -> None:
        assert label_candidates(Path(image))[0] == Path(label)

    def test_beside_the_image_is_the_last_resort(self) -> None:
        assert label_candidates(Path("/d/images/a.jpg"))[-1] == Path("/d/images/a.txt")

    def test_darknets_own_replacement_comes_first(self) -> None:
        first, second, _ = label_candidates(Path("/d/images/val2017/images/a.jpg"))
        assert first == Path("/d/labels/val2017/images/a.txt")
        assert second == Path("/d/images/val2017/labels/a.txt")


class TestLabelLines:
    def parse(self, text: str) -> tuple[np.ndarray, np.ndarray, Issues]:
        faults = Issues()
        labels = parse_labels(text, Path("a.txt"), 2, faults)
        return labels.classes, labels.boxes, faults

    def test_good_lines_are_kept_in_order(self) -> None:
        classes, boxes, faults = self.parse("1 0.5 0.5 0.2 0.4\r\n\r\n0 .25 .25 .5 .5")
        assert classes.tolist() == [1, 0]
        np.testing.assert_allclose(boxes, [[0.5, 0.5, 0.2, 0.4], [0.25, 0.25, 0.5, 0.5]])
        assert not faults

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("0 0.5 0.5 0.2", "not five numbers"),
            ("0 0.5 0.5 0.2 0.2 0.9", "not five numbers"),
            ("cat 0.5 0.5 0.2 0.2", "not five numbers"),
            ("2 0.5 0.5 0.2 0.2", "class is not in 0 … 1"),
            ("-1 0.5 0.5 0.2 0.2", "class is not in 0 … 1"),
            ("0.5 0.5 0.5 0.2 0.2", "class is not in 0 … 1"),
            ("0 nan 0.5 0.2 0.2", "not finite"),
            ("inf 0.5 0.5 0.2 0.2", "not finite"),
            ("0 0.5 0.5 1.2 0.2", "fractions"),
            ("0 320 240 50 50", "fractions"),
            ("0 0.5 0.5 0.0 0.2", "no area"),
            ("0 0.5 0.5 -0.0001 0.2", "no area"),
            ("0 -0.001 0.5 0.0001 0.2", "no area"),
        ],
    )
    def test_a_faulty_line_is_skipped_and_named(self, line: str, reason: str) -> None:
        classes, boxes, faults = self.parse(f"{line}\n1 0.5 0.5 0.2 0.4\n")
        assert classes.tolist() == [1]
        assert boxes.shape == (1, 4)
        assert reason in faults.summary()
        assert "a.txt:1" in faults.summary()
        assert faults.total == 1

    def test_a_box_over_the_edge_is_clipped(self) -> None:
        _, boxes, faults = self.parse("0 0.95 0.5 0.2 0.2")
        np.testing.assert_allclose(boxes, [[0.925, 0.5, 0.15, 0.2]], atol=1e-6)
        assert not faults

    def test_boxes_that_reach_beyond_the_image_are_listed(self) -> None:
        text = "0 .5 .5 .5 .5\n9 .95 .5 .2 .2\n0 .95 .5 .2 .2\n\n1 .5 .1 .2 .6\n"
        found = overhangs(text, 2)
        assert [number for number, _, _ in found] == [1, 3, 5]
        np.testing.assert_allclose(np.array(found)[:, 1:], [[0.0, 0.0], [0.05, 0.0], [0.0, 0.2]], atol=1e-12)

    @given(st.text(alphabet="0123456789.-+e nanif\t\n\r", max_size=80))
    def test_whatever_is_read_lies_in_the_image(self, text: str) -> None:
        classes, boxes, _ = self.parse(text)
        assert len(classes) == len(boxes)
        assert ((classes >= 0) & (classes < 2)).all()
        assert (boxes[:, 2:] > 0).all()
        assert (boxes[:, :2] - boxes[:, 2:] / 2 >= -1e-6).all()
        assert (boxes[:, :2] + boxes[:, 2:] / 2 <= 1 + 1e-6).all()
