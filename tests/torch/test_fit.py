"""Letterbox and stretch, and back."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.samples.boxes import clip_edges, to_centres, to_edges
from prune.samples.fit import FILL, fit_as_darknet, fit_for, fit_image, rect_for, resize_between_corners

sides = st.integers(1, 3000)
sizes = st.tuples(sides, sides)
nets = st.tuples(st.integers(1, 20).map(lambda n: 32 * n), st.integers(1, 20).map(lambda n: 32 * n))
fractions = st.floats(0, 1)
boxes = st.lists(st.tuples(fractions, fractions, fractions, fractions), max_size=4)


@pytest.mark.parametrize(
    ("image", "net", "size", "offset"),
    [
        ((640, 480), (416, 416), (416, 312), (0, 52)),
        ((480, 640), (416, 416), (312, 416), (52, 0)),
        ((427, 640), (320, 320), (213, 320), (53, 0)),
        ((500, 333), (416, 416), (416, 277), (0, 69)),
        ((100, 100), (416, 320), (320, 320), (48, 0)),
        ((5000, 2), (32, 32), (32, 1), (0, 15)),
    ],
)
def test_letterbox_follows_darknets_integers(
    image: tuple[int, int], net: tuple[int, int], size: tuple[int, int], offset: tuple[int, int]
) -> None:
    fit = fit_for(image, net, letterbox=True)
    assert (fit.size_wh, fit.offset_xy) == (size, offset)


@given(sizes, nets)
def test_a_letterboxed_image_fills_one_side_and_fits_the_other(image: tuple[int, int], net: tuple[int, int]) -> None:
    fit = fit_for(image, net, letterbox=True)
    assert any(a == b for a, b in zip(fit.size_wh, net, strict=True))
    for size, offset, side in zip(fit.size_wh, fit.offset_xy, net, strict=True):
        assert 1 <= size <= side
        assert offset == (side - size) // 2
    exact = min(net[0] / image[0], net[1] / image[1])
    assert all(abs(s - exact * side) <= 1 for s, side in zip(fit.size_wh, image, strict=True))


@given(sizes, nets, st.booleans(), boxes)
def test_boxes_come_back_from_the_network(
    image: tuple[int, int], net: tuple[int, int], letterbox: bool, rows: list[tuple[float, ...]]
) -> None:
    fit = fit_for(image, net, letterbox)
    original = np.array(rows, np.float64).reshape(-1, 4)
    there = fit.to_network(original)
    np.testing.assert_allclose(fit.to_image(there), original, atol=1e-9)
    pixels = fit.to_pixels(to_edges(there), clip=False)
    np.testing.assert_allclose(pixels, to_edges(original) * np.array(image * 2), atol=1e-6)


@given(sizes, nets, st.booleans())
def test_the_whole_image_is_its_place_in_the_network(
    image: tuple[int, int], net: tuple[int, int], letterbox: bool
) -> None:
    fit = fit_for(image, net, letterbox)
    whole = to_edges(fit.to_network(np.array([[0.5, 0.5, 1.0, 1.0]])))[0] * np.array(net * 2)
    left, top = fit.offset_xy
    expected = (left, top, left + fit.size_wh[0], top + fit.size_wh[1])
    np.testing.assert_allclose(whole, expected, atol=1e-9)


def test_pixels_are_clipped_to_the_image() -> None:
    fit = fit_for((640, 480), (416, 416), letterbox=True)
    np.testing.assert_allclose(fit.to_pixels(np.array([[0.0, 0.0, 1.0, 1.0]])), [[0, 0, 640, 480]])


def test_the_border_is_grey_and_the_middle_is_opencvs_bilinear() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    fitted = fit_image(image, fit_for((64, 48), (32, 32), letterbox=True))
    assert fitted.shape == (32, 32, 3)
    assert (fitted[:4] == FILL).all()
    assert (fitted[28:] == FILL).all()
    np.testing.assert_array_equal(fitted[4:28], cv2.resize(image, (32, 24), interpolation=cv2.INTER_LINEAR))
    stretched = fit_image(image, fit_for((64, 48), (32, 32), letterbox=False))
    np.testing.assert_array_equal(stretched, cv2.resize(image, (32, 32), interpolation=cv2.INTER_LINEAR))


@given(boxes)
def test_edges_and_centres_are_two_formats(rows: list[tuple[float, ...]]) -> None:
    cxcywh = np.array(rows, np.float64).reshape(-1, 4)
    np.testing.assert_allclose(to_centres(to_edges(cxcywh)), cxcywh, atol=1e-12)
    clipped = clip_edges(to_edges(cxcywh), (1.0, 1.0))
    assert (clipped >= 0).all()
    assert (clipped <= 1).all()


STRIDE = 32


@given(sizes, nets)
def test_a_letterbox_without_border_contains_the_same_image_in_fewer_pixels(
    image: tuple[int, int], net: tuple[int, int]
) -> None:
    rect = rect_for(image, net, STRIDE)
    assert any(a == b for a, b in zip(rect, net, strict=True))
    assert all(side % STRIDE == 0 and STRIDE <= side <= limit for side, limit in zip(rect, net, strict=True))
    whole, cut = fit_for(image, net, letterbox=True), fit_for(image, rect, letterbox=True)
    assert cut.size_wh == whole.size_wh
    assert all(side - size <= STRIDE for side, size in zip(rect, cut.size_wh, strict=True))


def test_darknets_resize_puts_corner_pixels_on_corner_pixels() -> None:
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    large = resize_between_corners(image, (13, 9))  # (7 − 1)·2 + 1, (5 − 1)·2 + 1: every second pixel is one of ours
    np.testing.assert_array_equal(large[::2, ::2], image)
    between = (image[:, :-1].astype(int) + image[:, 1:]) / 2
    np.testing.assert_allclose(large[::2, 1::2], between, atol=1e-4)
    np.testing.assert_allclose(resize_between_corners(large.astype(np.uint8), (7, 5)), image)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1), (3, 2)])
def test_darknets_resize_takes_images_of_one_pixel(size: tuple[int, int]) -> None:
    dot = np.full((1, 1, 3), 77, np.uint8)
    assert (resize_between_corners(dot, size) == 77).all()
    assert resize_between_corners(dot, size).shape == (size[1], size[0], 3)


def test_darknets_resize_differs_from_opencvs() -> None:
    image = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)
    fit = fit_for((64, 48), (32, 32), letterbox=False)
    assert np.abs(fit_as_darknet(image, fit) - fit_image(image, fit)).max() > 5


def test_darknets_border_is_half_grey_and_its_boxes_come_back_by_half_the_border() -> None:
    image = np.random.default_rng(3).integers(0, 256, (47, 64, 3), np.uint8)
    fit = fit_for((64, 47), (32, 32), letterbox=True)  # 23 rows: 4 above, 5 below
    fitted = fit_as_darknet(image, fit)
    assert (fitted[:4] == 127.5).all()
    assert (fitted[27:] == 127.5).all()
    np.testing.assert_array_equal(fitted[4:27], resize_between_corners(image, (32, 23)))
    middle = np.array([[0.5, 0.5, 0.25, 0.25]])
    np.testing.assert_allclose(replace(fit, half_border=True).to_image(middle), [[0.5, 0.5, 0.25, 0.25 * 32 / 23]])
    np.testing.assert_allclose(fit.to_image(middle)[0, 1], (16 - 4) / 23)
