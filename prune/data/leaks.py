"""Images that are in a dataset more than once, within a split or across both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from prune.data.examples import Example, add_example
from prune.data.pixels import ImageProbe
from prune.samples.issues import Issues
from prune.samples.read import Split
from prune.samples.sample import Sample, SampleSet

SAME_FILE = {True: "image twice in {}: the same file", False: "image in train and in valid: the same file"}
SAME_PIXELS = {True: "image twice in {}: the same pixels", False: "image in train and in valid: the same pixels"}


def shared_images(
    sets: Mapping[Split, SampleSet], probes: Mapping[Path, ImageProbe], faults: Issues, faulty: list[Example]
) -> None:
    """Adds each image whose file or pixels occurred before, in its own split or in the other one."""
    files: dict[Path, tuple[Split, Path]] = {}
    pixels: dict[bytes, tuple[Split, Path]] = {}
    for split, sample in _all(sets):
        probe, file = probes[sample.image], sample.image.resolve()
        first, kinds = files.get(file), SAME_FILE
        if first is None and probe.size_wh is not None:
            first, kinds = pixels.get(probe.pixels), SAME_PIXELS
        if first is not None:
            kind = kinds[first[0] == split].format(split)
            faults.add(kind, f"{sample.image} = {first[1]}" if kinds is SAME_PIXELS else sample.image)
            if probe.size_wh is not None:
                add_example(faulty, Example(sample, sample.size_wh or probe.size_wh, kind))
        files.setdefault(file, (split, sample.image))
        pixels.setdefault(probe.pixels, (split, sample.image))


def _all(sets: Mapping[Split, SampleSet]) -> Iterator[tuple[Split, Sample]]:
    for split, found in sets.items():
        yield from ((split, sample) for sample in found.samples)
