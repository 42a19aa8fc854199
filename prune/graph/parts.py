"""Parts of a group that must keep equal counts: these constraints in their simplest form, or why they conflict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from prune.graph.trace import Ids

Parts = tuple[Ids, ...]


@dataclass(frozen=True, slots=True)
class Constraints:
    """Disjoint sets of slots; of each tuple equal counts must be kept, and no slot is in two tuples.

    `conflict` says which of them no cut can be sure to meet, or is None.
    """

    equal: tuple[Parts, ...]
    conflict: str | None


def combined(needs: Iterable[tuple[int, Parts]]) -> Constraints:
    """The constraints of one group in their simplest form, from (layer, slots of its parts with repetitions).

    Parts with the same slots are equal anyway, and so are unions of equally many parts of another constraint.
    """
    found, conflict = list[tuple[int, Parts]](), None
    for layer, parts in needs:
        if _alike(parts):
            continue
        simple = _distinct(parts)
        if simple is None:
            conflict = conflict or f"the parts that layer {layer} needs in equal counts share channels"
        elif all(_sets(simple) != _sets(other) for _, other in found):
            found.append((layer, simple))
    found.sort(key=lambda entry: -len(entry[1]))
    kept = list[tuple[int, Parts]]()
    for layer, parts in found:
        rivals = [entry for entry in kept if _touch(parts, entry[1])]
        if not rivals:
            kept.append((layer, parts))
        elif not any(_implies(other, parts) for _, other in rivals):
            conflict = conflict or f"layers {rivals[0][0]} and {layer} need different parts in equal counts"
    return Constraints(tuple(parts for _, parts in kept), conflict)


def _alike(parts: Parts) -> bool:
    """True where all parts contain the same slots equally often."""
    first, *others = (np.sort(part) for part in parts)
    return all(np.array_equal(first, other) for other in others)


def _distinct(parts: Parts) -> Parts | None:
    """Each part's slots once; None where that changes the proportions, or where two parts share a slot."""
    sets = [np.unique(part, return_counts=True) for part in parts]
    counts = np.unique(np.concatenate([count for _, count in sets]))
    slots = np.concatenate([slots for slots, _ in sets])
    if len(counts) > 1 or len(np.unique(slots)) < len(slots):
        return None
    return tuple(slots for slots, _ in sets)


def _sets(parts: Sequence[Ids]) -> set[frozenset[int]]:
    return {frozenset(part.tolist()) for part in parts}


def _touch(parts: Parts, others: Parts) -> bool:
    return bool(np.isin(np.concatenate(parts), np.concatenate(others)).any())


def _implies(fine: Parts, coarse: Parts) -> bool:
    """True where each coarse part is the union of equally many fine parts."""
    inside = [[part for part in fine if np.isin(part, whole).all()] for whole in coarse]
    covered = [sum(map(len, parts)) == len(whole) for parts, whole in zip(inside, coarse, strict=True)]
    return all(covered) and len({len(parts) for parts in inside}) == 1
