"""Where a training keeps its decoded images."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from prune.darknet.netdef import NetDef
from prune.darknet.shapes import largest_stride
from prune.loading.cache_choice import CacheChoice, choose_cache
from prune.loading.image_cache import bytes_of
from prune.samples.sample import SampleSet
from prune.train.job import Job
from prune.train.sizes import scaled_sizes

FILE = "images.cache"


def keep_images(job: Job, netdef: NetDef, train: SampleSet, valid: SampleSet | None, processes: int = 1) -> CacheChoice:
    """The place that --cache names or that suffices for the images of all processes. A file has the training images
    only; in memory those of the valid split are kept as well, as they enter the network."""
    size, channels = (netdef.net.width, netdef.net.height), netdef.net.channels
    largest = training_sizes(job, netdef)[-1]
    needed = bytes_of(train.samples, largest, job.letterbox, channels)
    needed += size[0] * size[1] * channels * len(valid or ())
    return choose_cache(job.train.cache_mode, needed * processes, job.out)


def training_sizes(job: Job, netdef: NetDef) -> list[tuple[int, int]]:
    """The sizes (w, h) of the network's input in training, the largest last."""
    size = netdef.net.width, netdef.net.height
    return scaled_sizes(size, largest_stride(netdef)) if job.train.multi_scale else [size]


def place_of(choice: CacheChoice, out: Path) -> bool | Path:
    """What a TrainDataset takes as `cache_images`."""
    return out / FILE if choice.kind == "disk" else choice.kind == "ram"


def remove_kept(choice: CacheChoice, out: Path) -> None:
    """Remove the file at the end of a run."""
    if choice.kind == "disk":
        with suppress(OSError):  # Windows does not remove a file that is in use
            (out / FILE).unlink(missing_ok=True)
