"""k-means anchors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prune.darknet.netdef import parse_netdef, read_netdef
from prune.data.anchors import cfg_anchors, cfg_text, find_anchors, measure_anchors, network_sizes, size_iou
from prune.errors import UsageError
from prune.samples.sample import Annotation, sample_from_pixels
from prune.surgery.classes import adapt_classes
from tests.shared import REPOSITORY


def test_sizes_are_those_in_the_network_without_difficult_objects_and_crowds() -> None:
    objects = [
        Annotation(0, (0, 0, 100, 50)),
        Annotation(0, (0, 0, 9, 9), difficult=True),
        Annotation(0, (0, 0, 9, 9), crowd=True),
    ]
    sample = sample_from_pixels(Path("a.jpg"), 1, (200, 100), objects)
    np.testing.assert_allclose(network_sizes([sample], [(200, 100)], (416, 416), True), [[208, 104]])
    np.testing.assert_allclose(network_sizes([sample], [(200, 100)], (416, 416), False), [[208, 208]])


def test_iou_is_that_of_boxes_on_one_centre() -> None:
    sizes, anchors = np.array([[10.0, 20.0]]), np.array([[10.0, 20.0], [20.0, 10.0], [5.0, 5.0]])
    np.testing.assert_allclose(size_iou(sizes, anchors), [[1, 100 / 300, 25 / 200]])


def test_clear_clusters_are_found_and_sorted() -> None:
    random = np.random.default_rng(1)
    middles = np.array([[150, 90], [12, 30], [60, 60]])
    sizes = np.concatenate([middle * random.uniform(0.95, 1.05, (200, 2)) for middle in middles])
    found = find_anchors(sizes, 3)
    np.testing.assert_allclose(found.anchors, [[12, 30], [60, 60], [150, 90]], rtol=0.02)
    assert found.recalls == (1.0, 1.0)
    assert found.mean_iou > 0.94
    assert found == find_anchors(sizes, 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 6))
def test_found_anchors_are_at_least_as_good_as_those_they_started_from(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    sizes, start = random.uniform(2, 400, (300, 2)), random.uniform(2, 400, (count, 2))
    found = find_anchors(sizes, count, seed, start)
    assert len(found.anchors) == count
    assert found.mean_iou >= measure_anchors(sizes, start).mean_iou - 1e-3  # anchors are rounded
    assert list(found.recalls) == sorted(found.recalls, reverse=True)


def test_more_anchors_than_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="only 2 different sizes; use a smaller number"):
        find_anchors(np.array([[4.0, 4.0], [4.0, 4.0], [9.0, 9.0]]), 3)


class TestCfg:
    def test_only_anchors_in_use_count_and_adapt_accepts_the_result(self) -> None:
        netdef = read_netdef(REPOSITORY / "cfg/yolov3-tiny.cfg")
        used = cfg_anchors(netdef)
        assert sorted(used.tolist()) == [[23, 27], [37, 58], [81, 82], [135, 169], [344, 319]]
        fit = measure_anchors(np.array([[5.0, 5.0]]), np.array([[n, n] for n in range(1, 6)], np.float64))
        text = cfg_text(netdef, fit)
        assert text == "1,1,1,1,2,2,3,3,4,4,5,5"
        assert text is not None
        adapted = adapt_classes(netdef, 3, [float(part) for part in text.split(",")])
        assert sorted(cfg_anchors(adapted).tolist()) == [[n, n] for n in range(1, 6)]

    def test_a_region_heads_anchors_are_in_cells(self) -> None:
        text = (
            "[net]\nwidth=64\nheight=64\nchannels=3\n[maxpool]\nsize=2\nstride=2\n"
            "[convolutional]\nfilters=12\nsize=1\nstride=1\n[region]\nanchors=1,2, 3,4\nnum=2\nclasses=1\ncoords=4\n"
        )
        netdef = parse_netdef(text)
        assert cfg_anchors(netdef).tolist() == [[2, 4], [6, 8]]
        assert (
            cfg_text(netdef, measure_anchors(np.ones((1, 2)), np.array([[3.0, 5.0], [7.0, 9.0]]))) == "1.5,2.5,3.5,4.5"
        )

    def test_a_network_without_a_head_is_refused(self) -> None:
        netdef = parse_netdef("[net]\nwidth=32\nheight=32\nchannels=3\n[maxpool]\nsize=2\nstride=2\n")
        with pytest.raises(UsageError, match="no detection head"):
            cfg_anchors(netdef)
