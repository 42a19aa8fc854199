"""Which objects and images of a dataset are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from prune.errors import UsageError
from prune.samples.issues import Issues
from prune.samples.sample import Sample, SampleSet
from prune.settings import option

OTHER_CLASS = "object of a class that --classes leaves out"
DIFFICULT = "difficult object left out (--drop-difficult)"
CROWD = "crowd region left out (--drop-crowd)"
EMPTY = "image without an object left out (--drop-empty)"


def parse_names(text: str) -> tuple[str, ...]:
    """`cat, dog` as names. Raises ValueError where there is none."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ValueError(f"'{text}' names no class")
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is kept of a dataset; all of it by default."""

    classes: tuple[str, ...] | None = option(
        None, "keep only these classes, in this order", parse=parse_names, metavar="A,B,..."
    )
    drop_difficult: bool = option(False, "leave out objects marked difficult")
    drop_crowd: bool = option(False, "leave out crowd regions (iscrowd)")
    drop_empty: bool = option(False, "leave out images without remaining objects")

    def names(self, known: Sequence[str]) -> tuple[str, ...]:
        """The class names after the choice. Raises UsageError for one that is not in `known`, or given twice."""
        chosen = self.classes or ()
        for name in chosen:
            if name not in known:
                raise UsageError(f"--classes: there is no '{name}'; there are {', '.join(known[:20])}")
        if len(set(chosen)) < len(chosen):
            raise UsageError("--classes: a name is given twice; name each class once")
        return chosen or tuple(known)


def choose(found: SampleSet, choice: Choice, notes: Issues) -> SampleSet:
    """`found` without what `choice` leaves out, which is counted in `notes`."""
    names = choice.names(found.names)
    new_class = np.array([names.index(name) if name in names else -1 for name in found.names], np.int64)
    samples = [_kept(sample, new_class, choice, notes) for sample in found.samples]
    full = [sample for sample in samples if _is_kept(sample, choice, notes)]
    ids = found.category_ids
    kept_ids = tuple(ids[found.names.index(name)] for name in names) if ids is not None else None
    return replace(found, samples=tuple(full), names=names, category_ids=kept_ids)


def _kept(sample: Sample, new_class: NDArray[np.int64], choice: Choice, notes: Issues) -> Sample:
    other = new_class[sample.classes] < 0
    difficult = sample.difficult & ~other & choice.drop_difficult
    crowd = sample.crowd & ~other & ~difficult & choice.drop_crowd
    for kind, mask in ((OTHER_CLASS, other), (DIFFICULT, difficult), (CROWD, crowd)):
        for _ in range(int(mask.sum())):
            notes.add(kind, sample.image)
    left = sample.only(~(other | difficult | crowd))
    return replace(left, classes=new_class[left.classes])


def _is_kept(sample: Sample, choice: Choice, notes: Issues) -> bool:
    if choice.drop_empty and not len(sample.classes):
        notes.add(EMPTY, sample.image)
        return False
    return True
