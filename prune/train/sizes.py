"""The size of the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from prune.samples.images import image_size
from prune.samples.sample import Sample

SAMPLED = 200
"""How many images are sampled for the median shape of a dataset."""


def rectangular_size(size_wh: tuple[int, int], samples: Sequence[Sample], stride: int) -> tuple[int, int]:
    """The size with the longer side of `size_wh` and the median shape of the images, sides rounded up to `stride`."""
    sampled = samples[:: max(1, len(samples) // SAMPLED)]
    found = [size for sample in sampled if (size := sample.size_wh or image_size(sample.image))]
    if not found:
        return size_wh
    aspect = median(width / height for width, height in found)
    longest = max(size_wh)
    width, height = (longest, longest / aspect) if aspect >= 1 else (longest * aspect, longest)
    return _round_up(width, stride), _round_up(height, stride)


def scaled_sizes(size_wh: tuple[int, int], stride: int) -> list[tuple[int, int]]:
    """The sizes of multi-scale training: 0.67 to 1.33 times `size_wh`, in steps of `stride`."""
    longest = max(size_wh)
    sides = range(_round_up(0.67 * longest, stride), int(1.33 * longest) + 1, stride)
    sizes = [tuple(max(stride, round(side * s / longest / stride) * stride) for s in size_wh) for side in sides]
    return [(size[0], size[1]) for size in sizes] or [size_wh]


def _round_up(length: float, stride: int) -> int:
    return max(1, -int(-(length - 1e-6) // stride)) * stride
