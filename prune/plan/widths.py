"""How many channels of a layer can be kept: floors, bounds of single layers, multiples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.errors import PlanError
from prune.graph.channels import PruneGroup
from prune.graph.trace import Ids
from prune.plan.bounds import Bound
from prune.plan.score import Scores

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """The numbers of channels that a layer can keep.

    layer_keep: minimum fraction of every layer. multiple_of: the kept channels of each layer, and of each of its parts
    that need equal counts, are a multiple of this, or all of them. bounds: by layer index; the most that one
    allows is stronger than `layer_keep`.
    """

    layer_keep: float = 0.01
    multiple_of: int = 1
    bounds: Mapping[int, Bound] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What a plan records besides `layer_keep`; nothing where nothing was asked for."""
        bounds = {str(index): [bound.least, bound.most] for index, bound in sorted(self.bounds.items())}
        multiple = {"multiple_of": self.multiple_of} if self.multiple_of > 1 else {}
        return multiple | ({"bounds": bounds} if bounds else {})

    def fitted(self, group: PruneGroup, scores: Scores, keep: Mask) -> Mask:
        """`keep` (width,) with the best of further slots up to every floor, equal count and multiple, and without the
        worst of those that exceed a bound. Raises PlanError where these contradict each other.
        """
        limits = self._limits(group)
        found = self._raised(group, scores, keep)
        while excess := [i for i in limits if int(found[group.members[i]].sum()) > limits[i].channels]:
            limit = limits[excess[0]]
            if limit.slots < 0:
                raise PlanError(f"layer {excess[0]}: {self._named()} contradict each other")
            slots = group.members[excess[0]]
            allowed = np.ones(group.width, bool)
            allowed[slots] = False
            allowed[best_slots(slots[keep[slots]], scores, limit.slots)] = True
            keep = keep & allowed
            limits[excess[0]] = _Limit(limit.channels, limit.slots - 1)
            found = self._raised(group, scores, keep)
        return found

    def _limits(self, group: PruneGroup) -> dict[int, _Limit]:
        """The most channels and slots of each layer whose bound is below its width."""
        found = dict[int, _Limit]()
        for index in self.bounds.keys() & group.members.keys():
            slots = group.members[index]
            distinct = len(np.unique(slots))
            most = self.bounds[index].counts(distinct)[1]
            if most < distinct:
                found[index] = _Limit(most * len(slots) // distinct, most)
        return dict(sorted(found.items()))

    def _raised(self, group: PruneGroup, scores: Scores, keep: Mask) -> Mask:
        """keep, plus the best of each part up to its floor, plus equal counts and multiples where needed."""
        keep = keep.copy()
        for part, floor in self._floors(group):
            keep[best_slots(part, scores, floor)] = True
        while True:
            before = int(keep.sum())
            for parts in group.equal:
                _equalise(keep, parts, scores)
            for part in group.parts if self.multiple_of > 1 else ():
                self._round_up(keep, part, scores)
            if int(keep.sum()) == before:
                return keep

    def _floors(self, group: PruneGroup) -> list[tuple[Ids, int]]:
        """Each part with the slots of it that are kept at least."""
        producers = list(group.members)
        found = list[tuple[Ids, int]]()
        for number, part in enumerate(group.parts):  # the parts of the layers come first
            width = len(np.unique(part))
            floor = max(1, math.ceil(self.layer_keep * width))
            bound = self.bounds.get(producers[number]) if number < len(producers) else None
            if bound is not None:
                least, most = bound.counts(width)
                floor = min(max(floor, least), most)
            found.append((part, floor))
        return found

    def _round_up(self, keep: Mask, part: Ids, scores: Scores) -> None:
        """Keeps the best of a part's other slots until its channels are a multiple, or all of them are kept."""
        while missing := -int(keep[part].sum()) % self.multiple_of:
            others = part[~keep[part]]
            if not len(others):
                return
            keep[best_slots(others, scores, max(1, missing // int(np.bincount(others).max())))] = True

    def _named(self) -> str:
        bound = "its line in --bounds"
        return f"{bound} and --multiple-of {self.multiple_of}" if self.multiple_of > 1 else f"{bound} and what it needs"


@dataclass(frozen=True, slots=True)
class _Limit:
    """The most channels of a layer, and how many of its slots are tried."""

    channels: int
    slots: int


def best_slots(slots: Ids, scores: Scores, count: int) -> Ids:
    """The `count` best-scored of some slots, equal ones by slot, descending."""
    unique = np.unique(slots)
    return unique[np.lexsort((unique, scores[unique]))[::-1][:count]]


def _equalise(keep: Mask, parts: tuple[Ids, ...], scores: Scores) -> None:
    """Keeps the best other slots of each part, up to the count of the part that keeps most."""
    most = max(int(keep[part].sum()) for part in parts)
    for part in parts:
        missing = most - int(keep[part].sum())
        keep[best_slots(part[~keep[part]], scores, missing)] = True
