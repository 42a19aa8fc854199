"""Boxes follow the pixels under every augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.errors import UsageError
from prune.loading.augment import (
    AugmentSettings,
    clip_and_choose,
    jitter_colours,
    random_affine,
    scaling,
    transform_edges,
    translation,
    warp,
)
from prune.loading.dataset import TrainDataset
from prune.loading.mosaic import compose, mosaic_corners
from prune.samples.fit import fit_for, fit_image
from prune.samples.images import read_image
from prune.samples.sample import Annotation, Sample, sample_from_pixels

NONE = AugmentSettings.none()
NET = (128, 96)

# Each class has its own colour, so that its pixels can be found.
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))


def painted(folder: Path, class_id: int, size_wh: tuple[int, int]) -> Sample:
    """A black image with one rectangle in the colour of its class."""
    width, height = size_wh
    x0, y0, x1, y1 = width // 5, height // 4, width // 5 + width // 3, height // 4 + height // 2
    image = np.zeros((height, width, 3), np.uint8)
    image[y0:y1, x0:x1] = COLOURS[class_id][::-1]
    path = folder / f"{class_id}.png"
    cv2.imwrite(str(path), image)
    return sample_from_pixels(path, class_id, size_wh, [Annotation(class_id, (x0, y0, x1, y1))])


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    sizes = ((200, 150), (90, 160), (128, 96), (300, 80), (64, 64))
    return [painted(tmp_path, class_id, size) for class_id, size in enumerate(sizes)]


def bounding_box(mask: np.ndarray) -> np.ndarray:
    ys, xs = mask.nonzero()
    return np.array((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), float)


def mask_of(image: np.ndarray, class_id: int) -> np.ndarray:
    return np.asarray(np.abs(image.astype(int) - COLOURS[class_id]).max(axis=2) < 100)


UPRIGHT = {
    "nothing": NONE,
    "flip": replace(NONE, flip_lr=1.0),
    "both flips": replace(NONE, flip_lr=1.0, flip_ud=1.0),
    "scale": replace(NONE, scale=0.5),
    "shift": replace(NONE, translate=0.3),
    "all upright": replace(NONE, scale=0.4, translate=0.2, flip_lr=0.5, flip_ud=0.5),
    "mosaic": replace(NONE, mosaic=1.0),
    "mosaic and all upright": AugmentSettings(hue=0, saturation=0, value=0),
}
TURNED = {
    "rotation": replace(NONE, degrees=45.0),
    "shear": replace(NONE, shear=20.0),
    "everything": AugmentSettings(hue=0, saturation=0, value=0, degrees=20.0, shear=10.0, flip_ud=0.5),
}


@pytest.mark.parametrize("letterbox", [True, False])
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("name", [*UPRIGHT, *TURNED])
def test_the_boxes_lie_around_their_pixels(samples: list[Sample], name: str, cached: bool, letterbox: bool) -> None:
    # Nothing is dropped: where two pieces of a mosaic show one class, both must be known.
    settings = replace((UPRIGHT | TURNED)[name], min_visible=0, min_pixels=0)
    dataset = TrainDataset(samples, settings, NET, letterbox, seed=3, cache_images=cached)
    compared = 0
    for epoch in range(4):
        dataset.set_epoch(epoch)
        for img, targets in (dataset[index] for index in range(len(dataset))):
            image = img.numpy().transpose(1, 2, 0)
            found = targets.numpy()
            for class_id in np.unique(found[:, 0]).astype(int):
                rows = found[found[:, 0] == class_id][:, 1:].astype(float)
                if len(rows) > 1:  # the same image twice in one mosaic
                    continue
                centre, half = rows[0, :2], rows[0, 2:] / 2
                target = np.concatenate((centre - half, centre + half)) * (*NET, *NET)
                mask = mask_of(image, class_id)
                if not mask.any():  # a sliver, or the empty corner of a turned box
                    assert name in TURNED or (target[2:] - target[:2]).min() < 2
                    continue
                pixels = bounding_box(mask)
                # A turned rectangle that leaves the image has a looser box than its visible pixels.
                inside = name in UPRIGHT or ((target > 1).all() and (target < np.array((*NET, *NET)) - 1).all())
                if inside:
                    assert np.abs(target - pixels).max() <= 1.5
                assert (pixels[:2] >= target[:2] - 1.5).all()
                assert (pixels[2:] <= target[2:] + 1.5).all()
                compared += 1
    assert compared > 5


def test_without_augmentation_training_sees_what_evaluation_sees(samples: list[Sample]) -> None:
    dataset = TrainDataset(samples, NONE, NET, letterbox=True)
    for index, sample in enumerate(samples):
        image = read_image(sample.image)
        assert image is not None
        assert sample.size_wh is not None
        fit = fit_for(sample.size_wh, NET, letterbox=True)
        img, targets = dataset[index]
        np.testing.assert_array_equal(img.numpy().transpose(1, 2, 0), fit_image(image, fit))
        np.testing.assert_allclose(targets[:, 1:], fit.to_network(sample.boxes), atol=1e-6)


def test_warping_counts_from_the_pixels_edges_as_resizing_does() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    np.testing.assert_array_equal(warp(image, translation(3, 2), (60, 40))[2:, 3:], image[:-2, :-3])
    halved = warp(image, scaling(0.5, 0.5), (30, 20)).astype(int)
    resized = cv2.resize(image, (30, 20), interpolation=cv2.INTER_LINEAR).astype(int)
    assert np.abs(halved - resized).max() <= 2
    pasted = compose([image], [scaling(0.5, 0.5)], (30, 20)).astype(int)
    assert np.abs(pasted - resized).max() <= 2


def test_a_mosaic_leaves_no_gap_between_upright_images() -> None:
    rng = np.random.default_rng(5)
    tiles = [np.full((96, 128, 3), 10 * (number + 1), np.uint8) for number in range(4)]
    middle, shown = translation(NET[0] / 2, NET[1] / 2), set()
    for _ in range(20):
        corners = mosaic_corners(rng, [NET] * 4, NET)
        image = compose(tiles, [middle @ corner for corner in corners], NET)
        shown |= set(np.unique(image).tolist())
    assert shown == {10, 20, 30, 40}


@given(st.integers(0, 2**32))
def test_a_matrix_maps_corners_and_their_boxes_in_the_same_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    settings = AugmentSettings(degrees=180, shear=45, scale=0.9, translate=1, flip_ud=0.5)
    matrix = random_affine(rng, settings, NET)
    low = rng.uniform(-50, 50, (3, 2))
    edges = np.concatenate((low, low + rng.uniform(0, 50, (3, 2))), axis=1)
    moved = transform_edges(edges, matrix)
    centre = np.column_stack(((edges[:, :2] + edges[:, 2:]) / 2, np.ones(3)))
    np.testing.assert_allclose((moved[:, :2] + moved[:, 2:]) / 2, (centre @ matrix.T)[:, :2], atol=1e-9)
    assert (moved[:, 2:] >= moved[:, :2]).all()


def test_boxes_that_show_too_little_are_dropped() -> None:
    edges = np.array(
        [
            (0.0, 0.0, 50.0, 50.0),  # whole
            (-95.0, 0.0, 5.0, 50.0),  # 5 % visible
            (-80.0, 0.0, 20.0, 50.0),  # 20 % visible
            (10.0, 10.0, 11.5, 40.0),  # too thin
            (200.0, 0.0, 220.0, 20.0),  # outside
        ]
    )
    clipped, keep = clip_and_choose(edges, NET, AugmentSettings())
    assert keep.tolist() == [True, False, True, False, False]
    assert clipped[2].tolist() == [0.0, 0.0, 20.0, 50.0]
    empty, none = clip_and_choose(np.zeros((0, 4)), NET, AugmentSettings())
    assert empty.shape == (0, 4)
    assert none.shape == (0,)


def test_a_flip_without_scaling_keeps_every_size() -> None:
    matrix = scaling(-1, 1)
    moved = transform_edges(np.array([[1.0, 2.0, 5.0, 9.0]]), matrix)
    assert moved.tolist() == [[-5.0, 2.0, -1.0, 9.0]]


def test_colours_change_and_places_do_not() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[2:6, 2:6] = (200, 120, 40)
    jittered = jitter_colours(np.random.default_rng(1), image, replace(NONE, value=0.9, saturation=0.9, hue=0.5))
    assert (jittered[:2] == 0).all()
    assert (jittered[2:6, 2:6] == jittered[2, 2]).all()
    assert (jittered[2, 2] != image[2, 2]).any()
    assert jitter_colours(np.random.default_rng(1), image, NONE) is image


def test_brightness_does_not_change_the_hue() -> None:
    image = np.full((2, 2, 3), (200, 100, 0), np.uint8)
    pixel = jitter_colours(np.random.default_rng(0), image, replace(NONE, value=0.5))[0, 0].astype(float)
    assert abs(pixel[1] / pixel[0] - 0.5) < 0.03
    assert pixel[2] == 0


BAD: list[tuple[Callable[[], AugmentSettings], str]] = [
    (lambda: AugmentSettings(mosaic=1.5), "--mosaic 1.5 must be within [0, 1]"),
    (lambda: AugmentSettings(scale=1.0), "--scale 1.0 must be within [0, 0.99]"),
    (lambda: AugmentSettings(degrees=-1), "--degrees -1 must be within [0, 180]"),
    (lambda: AugmentSettings(hue=float("nan")), "--hue nan must be within [0, 1]"),
    (lambda: AugmentSettings(min_pixels=-0.5), "--min-pixels -0.5 must be 0 or more"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_settings_out_of_range_are_refused(make: Callable[[], AugmentSettings], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message
