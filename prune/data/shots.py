"""Which images to show, and what of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prune.data.statistics import Wh
from prune.samples.read import Split
from prune.samples.sample import Sample

PER_KIND, EXAMPLES = 4, 8


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """An image to show: its boxes are in pixels of `size_wh`, `marked` are the objects in question; `title` says why
    it is shown."""

    sample: Sample
    size_wh: Wh
    title: str
    marked: tuple[int, ...] = ()


def add_shot(shots: list[Shot], shot: Shot) -> None:
    """Keeps the first `PER_KIND` shots of each title."""
    if sum(other.title == shot.title for other in shots) < PER_KIND:
        shots.append(shot)


def examples(split: Split, pairs: Sequence[tuple[Sample, Wh]], seed: int) -> list[Shot]:
    """A few images of a split: at random, but first one of each class, the rarest first."""
    order = np.random.default_rng(seed).permutation(len(pairs))
    classes = [set(pairs[at][0].classes.tolist()) for at in order]
    counts: dict[int, int] = {}
    for present in classes:
        for label in present:
            counts[label] = counts.get(label, 0) + 1
    rarest = sorted(counts, key=lambda label: (counts[label], label))
    first = [next(at for at, present in enumerate(classes) if label in present) for label in rarest[:EXAMPLES]]
    chosen = list(dict.fromkeys([*first, *range(len(classes))]))[:EXAMPLES]
    return [Shot(sample, size, f"from {split}") for sample, size in (pairs[order[at]] for at in chosen)]
