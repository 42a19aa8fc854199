"""Batches for training and evaluation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from prune.darknet.datafile import read_datafile
from prune.errors import DataError, UsageError
from prune.loading.augment import AugmentSettings
from prune.loading.dataset import EvalDataset, TrainDataset
from prune.loading.loaders import Shard, TrainLoader, collate, eval_loader, train_loader
from prune.samples.read import read_samples
from prune.samples.sample import Annotation, Sample, sample_from_pixels
from tests.shared import SHARED, needs_shared

NONE = AugmentSettings.none()
NET = (64, 32)


def make_samples(folder: Path, count: int, broken: tuple[int, ...] = ()) -> list[Sample]:
    """Images of different grey; number i has i % 3 objects of class i % 2. The `broken` cannot be decoded."""
    made = []
    for number in range(count):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), np.full((40, 60, 3), 20 + number, np.uint8))
        if number in broken:
            path.write_bytes(b"broken")
        objects = [Annotation(number % 2, (10.0 + k, 10.0, 40.0, 30.0)) for k in range(number % 3)]
        made.append(sample_from_pixels(path, number, (60, 40), objects))
    return made


def epoch_of(loader: TrainLoader, epoch: int) -> list[tuple[Tensor, Tensor]]:
    loader.set_epoch(epoch)
    return list(loader)


def same(a: list[tuple[Tensor, Tensor]], b: list[tuple[Tensor, Tensor]]) -> bool:
    pairs = zip(a, b, strict=True)
    return all(torch.equal(x, y) for left, right in pairs for x, y in zip(left, right, strict=True))


def greys(batches: list[tuple[Tensor, Tensor]]) -> list[int]:
    """Which images the unaugmented batches contain, in their order."""
    return [int(img[0, 16, 32]) - 20 for imgs, _ in batches for img in imgs]


def test_a_batch_contains_bytes_and_numbered_targets(tmp_path: Path) -> None:
    dataset = TrainDataset(make_samples(tmp_path, 6), NONE, NET)
    imgs, targets = collate([dataset[index] for index in (0, 1, 2, 5)])
    assert (imgs.dtype, imgs.shape) == (torch.uint8, (4, 3, 32, 64))
    assert (targets.dtype, targets.shape) == (torch.float32, (5, 6))
    assert targets[:, 0].tolist() == [1, 2, 2, 3, 3]
    assert targets[:, 1].tolist() == [1, 0, 0, 1, 1]
    assert imgs.is_contiguous()


def test_a_batch_without_objects_is_well_formed(tmp_path: Path) -> None:
    dataset = TrainDataset(make_samples(tmp_path, 1), NONE, NET)
    _, targets = collate([dataset[0], dataset[0]])
    assert targets.shape == (0, 6)


def test_crowd_and_difficult_objects_are_not_targets(tmp_path: Path) -> None:
    (plain,) = make_samples(tmp_path, 1)
    box = (10.0, 10.0, 40.0, 30.0)
    kinds = [Annotation(0, box, difficult=True), Annotation(1, box, crowd=True), Annotation(2, box)]
    dataset = TrainDataset([sample_from_pixels(plain.image, 0, (60, 40), kinds)], NONE, NET)
    assert dataset[0][1][:, 0].tolist() == [2]


@pytest.mark.parametrize("cached", [False, True])
def test_workers_change_nothing(tmp_path: Path, cached: bool) -> None:
    samples = make_samples(tmp_path, 11, broken=(4,))

    def loader(workers: int) -> TrainLoader:
        dataset = TrainDataset(samples, AugmentSettings(degrees=5), NET, seed=7, cache_images=cached)
        return train_loader(dataset, 4, workers, seed=7)

    alone, helped = loader(0), loader(2)
    for epoch in (0, 1):
        assert same(epoch_of(alone, epoch), epoch_of(helped, epoch))
    assert not same(epoch_of(alone, 0), epoch_of(alone, 1))
    assert alone.dataset.faults.total == helped.dataset.faults.total == 1


def test_settings_and_size_reach_the_workers_between_epochs(tmp_path: Path) -> None:
    dataset = TrainDataset(make_samples(tmp_path, 6), AugmentSettings(), NET)
    loader = train_loader(dataset, 3, workers=1)
    assert next(iter(loader))[0].shape == (3, 3, 32, 64)
    loader.set_augment(NONE)
    loader.set_img_size((32, 32))
    batches = epoch_of(loader, 1)
    assert batches[0][0].shape == (3, 3, 32, 32)
    assert sorted(int(img[0, 16, 16]) - 20 for imgs, _ in batches for img in imgs) == list(range(6))


def test_several_sizes_change_between_batches_in_the_same_way_every_time(tmp_path: Path) -> None:
    loader = train_loader(TrainDataset(make_samples(tmp_path, 24), NONE, NET), 2)
    loader.set_img_size((32, 32), (64, 64), (96, 96), every=2)
    shapes = [[imgs.shape[-1] for imgs, _ in epoch_of(loader, 3)] for _ in range(2)]
    assert shapes[0] == shapes[1]
    assert shapes[0][0::2] == shapes[0][1::2]
    assert len(set(shapes[0])) > 1
    with pytest.raises(UsageError, match="at least one"):
        loader.set_img_size()


@pytest.mark.parametrize(
    ("images", "batch", "expected"),
    [(10, 4, [4, 4, 2]), (9, 4, [4, 4]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1]), (3, 4, [3])],
)
def test_only_a_single_leftover_image_is_dropped(tmp_path: Path, images: int, batch: int, expected: list[int]) -> None:
    loader = train_loader(TrainDataset(make_samples(tmp_path, images), NONE, NET), batch)
    assert [len(imgs) for imgs, _ in loader] == expected
    assert len(loader) == len(expected)


def test_each_epoch_shows_every_image_once_in_another_order(tmp_path: Path) -> None:
    loader = train_loader(TrainDataset(make_samples(tmp_path, 12), NONE, NET), 4, seed=5)
    first, second = greys(epoch_of(loader, 0)), greys(epoch_of(loader, 1))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    other = train_loader(TrainDataset(make_samples(tmp_path, 12), NONE, NET), 4, seed=6)
    assert greys(epoch_of(other, 0)) != first


def test_two_processes_share_an_epoch_evenly(tmp_path: Path) -> None:
    samples = make_samples(tmp_path, 11)
    parts = []
    for rank in range(2):
        shard = Shard(rank, 2)
        parts.append(greys(epoch_of(train_loader(TrainDataset(samples, NONE, NET), 3, shard=shard), 0)))
    assert len(parts[0]) == len(parts[1]) == 6
    assert set(parts[0]) | set(parts[1]) == set(range(11))


def test_an_image_that_cannot_be_decoded_is_replaced_and_counted_once(tmp_path: Path) -> None:
    dataset = TrainDataset(make_samples(tmp_path, 5, broken=(1, 2)), NONE, NET)
    assert torch.equal(dataset[1][0], dataset[3][0])
    assert torch.equal(dataset[1][1], dataset[3][1])
    assert dataset.faults.total == 2
    assert "1.png" in dataset.faults.summary()


def test_a_set_without_any_image_that_can_be_decoded_is_an_error(tmp_path: Path) -> None:
    dataset = TrainDataset(make_samples(tmp_path, 2, broken=(0, 1)), NONE, NET)
    with pytest.raises(DataError, match="nor can any other"):
        dataset[0]
    with pytest.raises(DataError, match="no image"):
        TrainDataset([], NONE, NET)
    with pytest.raises(DataError, match="nor can any other"):  # not from within a worker, which would garble it
        next(iter(train_loader(dataset, 2, workers=1)))


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_keeps_order_and_the_last_batch_and_reports_the_broken(tmp_path: Path, workers: int) -> None:
    dataset = EvalDataset(make_samples(tmp_path, 8, broken=(0, 1, 5)), NET, letterbox=True)
    batches = list(eval_loader(dataset, 2, workers))
    assert [len(batch.imgs) for batch in batches] == [2, 1, 2]
    assert [sample.image_id for batch in batches for sample in batch.samples] == [2, 3, 4, 6, 7]
    assert batches[0].imgs.dtype == torch.uint8
    assert batches[0].fits[0].size_wh == (48, 32)
    assert dataset.faults.total == 3


def test_evaluation_fills_in_the_size_and_maps_to_the_annotated_one(tmp_path: Path) -> None:
    known, unknown = make_samples(tmp_path, 2)
    unknown = Sample(unknown.image, unknown.boxes, unknown.classes, unknown.difficult, unknown.crowd, image_id="u")
    resized = sample_from_pixels(known.image, "r", (120, 80), [])
    ((_, fits, samples, indices),) = eval_loader(EvalDataset([unknown, resized], NET, letterbox=False), 2)
    assert (samples[0].size_wh, indices) == ((60, 40), (0, 1))
    whole = np.array([[0.0, 0.0, 1.0, 1.0]])
    assert fits[0].to_pixels(whole).tolist() == [[0, 0, 60, 40]]
    assert fits[1].to_pixels(whole).tolist() == [[0, 0, 120, 80]]


@pytest.mark.parametrize(("batch", "workers"), [(0, 0), (1, -1)])
def test_a_batch_below_one_or_negative_workers_are_refused(tmp_path: Path, batch: int, workers: int) -> None:
    samples = make_samples(tmp_path, 1)
    with pytest.raises(UsageError):
        train_loader(TrainDataset(samples, NONE, NET), batch, workers)
    with pytest.raises(UsageError):
        eval_loader(EvalDataset(samples, NET, letterbox=True), batch, workers)


def test_cached_evaluation_images_are_the_same_and_are_read_once(tmp_path: Path) -> None:
    samples = make_samples(tmp_path, 3, broken=(1,))
    plain = EvalDataset(samples, NET, letterbox=True)
    cached = EvalDataset(samples, NET, letterbox=True, cache_images=True)
    first = [cached[index] for index in range(3)]
    for sample in samples:
        sample.image.unlink()
    again = [cached[index] for index in range(3)]
    assert [item.img is None for item in again] == [False, True, False]
    assert all(a is b for a, b in zip(first, again, strict=True))
    assert plain[0].img is None, "without a cache the file is read again"


@needs_shared
def test_real_images_make_an_epoch(tmp_path: Path) -> None:
    sets = SHARED / "bccd/ImageSets/Main"
    (tmp_path / "b.names").write_text("RBC\nWBC\nPlatelets\n")
    (tmp_path / "b.data").write_text(f"classes=3\nnames=b.names\ntrain={sets}/test.txt\n")
    samples = read_samples(read_datafile(tmp_path / "b.data"), "train")
    dataset = TrainDataset(samples, AugmentSettings(), (320, 320), cache_images=True)
    imgs, targets = (torch.cat(part) for part in zip(*train_loader(dataset, 8), strict=True))
    assert imgs.shape == (72, 3, 320, 320)
    assert len(targets) > 300
    assert (targets[:, 2:] > 0).all()
    assert (targets[:, 2:] <= 1).all()
    assert not dataset.faults
