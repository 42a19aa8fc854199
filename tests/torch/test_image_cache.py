"""Decoded images that are kept: the same batches as without, and a file that is never half-written or out of date."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import train
from prune.errors import DataError
from prune.loading import cache_choice, free_memory
from prune.loading.augment import AugmentSettings
from prune.loading.cache_choice import GIB, choose_cache
from prune.loading.dataset import TrainDataset
from prune.loading.image_cache import DecodedImages, bytes_of, shrunk_size
from prune.loading.image_file import MAGIC, digest_of, open_images, write_images
from prune.loading.loaders import train_loader
from prune.loading.workers import choose_workers, parse_workers
from prune.samples.images import Image
from prune.samples.sample import Annotation, Sample, sample_from_pixels
from prune.train.checkpoint import read_checkpoint
from tests.torch.small_trainings import BASE, folder, run

__all__ = ["folder"]
NET = (64, 32)
SETTINGS = (AugmentSettings(), AugmentSettings(degrees=9, mosaic=0.3), AugmentSettings.none())


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Pictures of noise, larger and smaller than the network's input; the fourth cannot be decoded."""
    rng, made = np.random.default_rng(0), []
    for number, (width, height) in enumerate([(200, 150), (40, 20), (64, 32), (90, 160), (300, 31), (129, 77)]):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        if number == 3:
            path.write_bytes(b"broken")
        box = (width * 0.2, height * 0.2, width * 0.8, height * 0.8)
        made.append(sample_from_pixels(path, number, (width, height), [Annotation(0, box)]))
    return made


def same(one: Image | None, other: Image | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("letterbox", [True, False])
@pytest.mark.parametrize(
    "settings", [AugmentSettings(), AugmentSettings(degrees=9, mosaic=0.3), AugmentSettings.none()]
)
def test_batches_are_the_same_with_every_cache_and_any_number_of_workers(
    samples: list[Sample], tmp_path: Path, settings: AugmentSettings, letterbox: bool, channels: int
) -> None:
    def batches(cache: bool | Path, workers: int) -> list[torch.Tensor]:
        dataset = TrainDataset(samples, settings, NET, letterbox, 3, cache, channels, fit_wh=(96, 48))
        loader = train_loader(dataset, 2, workers, seed=3)
        loader.set_img_size(NET, (96, 48), every=1)
        found = []
        for epoch in (0, 1):
            loader.set_epoch(epoch)
            found += [part for batch in loader for part in batch]
        assert dataset.faults.total == 1
        return found

    plain = batches(False, 0)
    kinds: list[tuple[bool | Path, int]] = [(True, 0), (tmp_path / "c", 0), (tmp_path / "c", 1)]
    for kind in kinds if channels == 3 else kinds[:2]:
        assert all(torch.equal(one, other) for one, other in zip(plain, batches(*kind), strict=True))


def test_an_image_is_shrunk_to_the_largest_input_and_never_enlarged() -> None:
    assert shrunk_size((200, 150), NET, letterbox=True) == (42, 32)
    assert shrunk_size((200, 150), NET, letterbox=False) == NET
    assert shrunk_size((40, 20), NET, letterbox=True) == (40, 20)
    assert shrunk_size((300, 31), NET, letterbox=False) == (64, 31)


def test_the_size_of_the_images_is_known_before_they_are_decoded(samples: list[Sample]) -> None:
    images = DecodedImages(samples, letterbox=True, fit_wh=NET, cache=True)
    kept = sum(image.nbytes for index in range(6) if (image := images[index]) is not None)
    broken = 3 * np.prod(shrunk_size((90, 160), NET, True))
    assert bytes_of(samples, NET, True, 3) == kept + broken


def test_a_file_of_images_gives_them_back_also_to_another_process(samples: list[Sample], tmp_path: Path) -> None:
    path = tmp_path / "out/images.cache"
    plain = DecodedImages(samples, letterbox=True, fit_wh=NET)
    DecodedImages(samples, letterbox=True, fit_wh=NET, cache=path).fill()
    kept = DecodedImages(samples, letterbox=True, fit_wh=NET, cache=path)
    kept.fill()
    for copy in (kept, pickle.loads(pickle.dumps(kept))):
        for index in range(6):
            expected, found = plain[index], copy[index]
            assert (found is None) == (index == 3)
            assert same(expected, found)
        assert copy.faults.total == 1
    assert len(pickle.dumps(kept)) < 20_000, "the pixels are not copied"


CHANGES: dict[str, Callable[[list[Sample], Path], object]] = {
    "an image is newer": lambda samples, path: os.utime(samples[0].image, (1, 1)),
    "an image has another size": lambda samples, path: samples[0].image.write_bytes(b"other"),
    "an image is gone": lambda samples, path: samples[0].image.unlink(),
    "there are fewer images": lambda samples, path: samples.pop(),
    "the file is cut": lambda samples, path: path.write_bytes(path.read_bytes()[:-5]),
    "the file is only begun": lambda samples, path: path.write_bytes(MAGIC),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_of_other_images_is_written_anew(samples: list[Sample], tmp_path: Path, name: str) -> None:
    path = tmp_path / "images.cache"
    DecodedImages(samples, letterbox=True, fit_wh=NET, cache=path).fill()
    CHANGES[name](samples, path)
    assert open_images(path, digest_of(samples, (NET, True, 3))) is None
    plain, kept = (DecodedImages(samples, True, NET, cache=cache) for cache in (False, path))
    for index in range(len(samples)):
        assert same(plain[index], kept[index])


def test_other_settings_are_other_images(samples: list[Sample]) -> None:
    digests = [digest_of(samples, settings) for settings in [(NET, True, 3), (NET, False, 3), (NET, True, 1)]]
    assert len(set(digests)) == 3


def test_a_file_of_the_user_is_not_replaced(samples: list[Sample], tmp_path: Path) -> None:
    path = tmp_path / "images.cache"
    path.write_text("my notes")
    with pytest.raises(DataError, match=r"images\.cache: is not a cache of images; remove it, or choose another --out"):
        DecodedImages(samples, letterbox=True, fit_wh=NET, cache=path).fill()
    assert path.read_text() == "my notes"


def test_writing_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def images() -> object:
        yield np.zeros((2, 2, 3), np.uint8)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_images(tmp_path / "c", b"0" * 32, images())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("memory", "disk", "kind"),
    [(40, 0, "ram"), (39, 100, "disk"), (39, 99, "off"), (None, 100, "disk"), (None, None, "off")],
)
def test_the_cache_is_chosen_by_what_is_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, memory: int | None, disk: int | None, kind: str
) -> None:
    monkeypatch.setattr(cache_choice, "free_memory", lambda: None if memory is None else memory * GIB)
    monkeypatch.setattr(cache_choice, "free_space", lambda folder: None if disk is None else disk * GIB)
    choice = choose_cache("auto", 10 * GIB, tmp_path)
    assert choice.kind == kind
    assert "10.00 GiB" in choice.line
    assert [choose_cache(asked, 10 * GIB, tmp_path).kind for asked in ("ram", "disk", "off")] == ["ram", "disk", "off"]


def test_free_memory_is_that_of_the_container_where_it_has_less(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(free_memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(free_memory, "CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:    8000 kB\n")
    assert free_memory.free_memory() == 8000 * 1024
    for name, text in {"memory.max": "5000", "memory.current": "3000", "memory.stat": "inactive_file 700\n"}.items():
        (tmp_path / name).write_text(text)
    assert free_memory.free_memory() == 2700
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory.free_memory() == 8000 * 1024
    assert (cache_choice.free_space(tmp_path / "not/yet/there") or 0) > 0


def test_workers_are_chosen_by_the_device_and_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prune.loading.workers.usable_cores", lambda: 4)
    assert [choose_workers(None, kind) for kind in ("cpu", "cuda")] == [0, 3]
    assert [choose_workers(None, "cuda", trainings) for trainings in (2, 4, 8)] == [1, 0, 0]
    assert choose_workers(2, "cpu") == 2
    assert [parse_workers(text) for text in ("auto", "0", "5")] == [None, 0, 5]


def test_a_training_ends_in_the_same_weights_with_every_cache_and_leaves_no_file_of_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = []
    flags = ["--cache off", "--cache disk", "--cache-images", "--cache disk --workers 1", "--cache auto --workers auto"]
    for number, more in enumerate(flags):
        assert run(monkeypatch, train, f"{BASE.replace('--quiet', '')} out{number} {more} --multi-scale") == 0
        weights.append(read_checkpoint(folder / f"out{number}/last.pt").model)
        assert not (folder / f"out{number}/images.cache").exists()
    assert all(torch.equal(value, other[name]) for other in weights[1:] for name, value in weights[0].items())
    told = [line for line in "".join(capsys.readouterr()).splitlines() if "images are" in line]
    assert ["in memory" in line for line in told] == [False, False, True, False, True]
