"""The channels of a network in the order in which they are cut, within the widths that its layers can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from prune.errors import PlanError
from prune.graph.channels import ChannelGraph
from prune.graph.trace import Ids
from prune.plan.budget import Blocks, Kept, ids_of_blocks
from prune.plan.score import Scores, prunable_ids, slot_scores
from prune.plan.types import ChannelMask
from prune.plan.widths import Widths

Masks = Mapping[int, NDArray[np.bool_]]
"""Group id → which of its slots are kept (width,)."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The slots of every group that can be cut, by rank: a slot is cut below a threshold from 0 to `count`.

    `scores`: group id → rank of each slot (width,), infinite where it is never cut. `blocks` are removed, and what
    their layers write has no rank.
    """

    graph: ChannelGraph
    scores: Mapping[int, Scores]
    count: int
    widths: Widths
    blocks: Blocks = ()

    def masks(self, threshold: float) -> dict[int, NDArray[np.bool_]]:
        """What is kept at a threshold. Raises PlanError where the widths contradict each other."""
        return {
            group.id: self.widths.fitted(group, self.scores[group.id], self.scores[group.id] >= threshold)
            for group in self.graph.prunable()
        }

    def kept(self, masks: Masks) -> Kept:
        """The same as flags over the channel ids (ids,)."""
        return self.graph.kept_ids(masks)

    def with_slot(self, masks: Masks, group: int, slot: int) -> Masks | None:
        """The masks with one more slot, and what the widths then demand; None where they do not allow it."""
        keep = masks[group].copy()
        keep[slot] = True
        more = self.widths.fitted(self.graph.groups[group], self.scores[group], keep)
        return {**masks, group: more} if (more >= keep).all() else None

    def with_widths(self, widths: Widths) -> Ranked:
        """The same slots within other widths."""
        return replace(self, widths=widths)


def rank_channels(graph: ChannelGraph, values: Scores, widths: Widths, blocks: Blocks = ()) -> Ranked:
    """The slots by the importance of each channel: values (ids,).

    Raises PlanError where nothing can be cut, or where a channel that can be cut has no finite value.
    """
    gone = ids_of_blocks(graph, blocks)
    ids = prunable_ids(graph)
    ids = ids[~gone[ids]]
    if not len(ids):
        raise PlanError(f"{graph.netdef.path}: no channel can be cut; python -m prune.explain shows why")
    if values.shape != (graph.trace.total,) or not np.isfinite(values[ids]).all():
        raise PlanError(f"{graph.netdef.path}: each channel that can be cut needs a finite importance")
    return Ranked(graph, slot_scores(graph, _ranks(values, ids)), len(ids), widths, blocks)


def smallest_reaching(reached: Callable[[int], bool], high: int) -> int:
    """The smallest argument in [0, high] from which on `reached` is true, else high."""
    low = 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return low


def masks_of(found: Masks) -> tuple[ChannelMask, ...]:
    """The masks as a plan contains them."""
    return tuple(ChannelMask(group, mask) for group, mask in found.items())


def _ranks(values: Scores, ids: Ids) -> Scores:
    """Each prunable channel's rank by |γ|, equal ones by (group, slot, layer); else NaN.

    Ranks instead of values make every threshold exact and break every tie the same way.
    """
    ranks = np.full(len(values), np.nan)
    ranks[ids[np.argsort(values[ids], kind="stable")]] = np.arange(len(ids))
    return ranks
