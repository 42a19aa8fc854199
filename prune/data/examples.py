"""The images that a check shows, and what is marked in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prune.data.statistics import Wh
from prune.samples.read import Split
from prune.samples.sample import Sample

PER_KIND, EXAMPLES = 4, 8


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An image to show: its boxes are in pixels of `size_wh`, `marked` are the objects in question, `title` says why it
    is shown."""

    sample: Sample
    size_wh: Wh
    title: str
    marked: tuple[int, ...] = ()


def add_example(examples: list[Example], example: Example) -> None:
    """Adds an example unless there are `PER_KIND` with its title already."""
    if sum(other.title == example.title for other in examples) < PER_KIND:
        examples.append(example)


def pick_examples(split: Split, pairs: Sequence[tuple[Sample, Wh]], seed: int) -> list[Example]:
    """A few images of a split: first one of each class, the rarest first, then random ones."""
    order = np.random.default_rng(seed).permutation(len(pairs))
    classes = [set(pairs[at][0].classes.tolist()) for at in order]
    counts: dict[int, int] = {}
    for present in classes:
        for label in present:
            counts[label] = counts.get(label, 0) + 1
    rarest = sorted(counts, key=lambda label: (counts[label], label))
    first = [next(at for at, present in enumerate(classes) if label in present) for label in rarest[:EXAMPLES]]
    chosen = list(dict.fromkeys([*first, *range(len(classes))]))[:EXAMPLES]
    return [Example(sample, size, f"from {split}") for sample, size in (pairs[order[at]] for at in chosen)]
