"""Which channels are cut, and which blocks removed, so that targets are met from below."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from prune.darknet.records import Weights
from prune.graph.channels import ChannelGraph, PruneGroup
from prune.plan.budget import Blocks, all_kept
from prune.plan.criteria import Importance
from prune.plan.layer import rank_blocks
from prune.plan.ranked import Masks, Ranked, masks_of, rank_channels, smallest_reaching
from prune.plan.score import gammas
from prune.plan.target import TOLERANCE, Left, Reach, Size, Targets, find_reach
from prune.plan.types import PrunePlan, digest
from prune.plan.widths import Widths


def plan_to_targets(
    graph: ChannelGraph,
    weights: Weights,
    targets: Targets,
    widths: Widths,
    blocks: Blocks = (),
    importance: Importance = gammas,
) -> PrunePlan:
    """A plan that removes `blocks` and cuts the least important channels until all targets are met, from below.

    Raises TargetError where they cannot be met within the tolerance, PlanError where nothing can be cut.
    """
    ranked = rank_channels(graph, importance(graph, weights), widths, blocks)
    targets.check_reachable(*extremes(ranked))
    masks = fit_channels(ranked, targets)
    targets.check_met(Left(ranked.kept(masks), blocks))
    removed = tuple(sorted(block.shortcut for block in blocks))
    facts = {"kind": "channels", "rule": "share", "layer_keep": widths.layer_keep, "tie": graph.scope.tie}
    facts |= {"targets": targets.facts()} | widths.facts() | ({"shortcuts": len(removed)} if removed else {})
    plan = PrunePlan(digest(graph.netdef, weights), masks_of(masks), removed, facts, scope=graph.scope)
    plan.validate(graph)
    return plan


def plan_blocks_to_targets(graph: ChannelGraph, weights: Weights, targets: Targets) -> PrunePlan:
    """A plan that removes as few of the least important blocks as meet all targets. Raises TargetError where all of
    them are not enough."""
    blocks, kept = [entry.block for entry in rank_blocks(graph, weights)], all_kept(graph)
    steps = (blocks[:count] for count in range(len(blocks) + 1))
    chosen = next((some for some in steps if targets.fill(Left(kept, some)) <= 1), None)
    if chosen is None:
        least = Left(kept, blocks)
        raise targets.unreachable(targets.hardest(least), least, Left(kept))
    removed = tuple(sorted(block.shortcut for block in chosen))
    facts = {"kind": "layers", "shortcuts": len(removed), "targets": targets.facts()}
    return PrunePlan(digest(graph.netdef, weights), (), removed, facts, scope=graph.scope)


def extremes(ranked: Ranked) -> tuple[Left, Left]:
    """The least and the most that the widths allow to keep."""
    least, most = (ranked.kept(ranked.masks(threshold)) for threshold in (ranked.count, 0))
    return Left(least, ranked.blocks), Left(most, ranked.blocks)


def channel_reach(graph: ChannelGraph, widths: Widths, blocks: Blocks = (), size: Size = None) -> list[Reach]:
    """What cutting channels can leave of each measure, with `blocks` removed."""
    least = most = Left(all_kept(graph), blocks)
    if graph.prunable_layers:
        least, most = extremes(rank_channels(graph, np.zeros(graph.trace.total), widths, blocks))
    return find_reach(graph, least, most, size)


def block_reach(graph: ChannelGraph, blocks: Blocks, size: Size = None) -> list[Reach]:
    """What removing some or all of `blocks` can leave of each measure."""
    return find_reach(graph, Left(all_kept(graph), blocks), Left(all_kept(graph)), size)


def fit_channels(ranked: Ranked, targets: Targets) -> Masks:
    """What is kept at the lowest threshold at which all targets are met. Where that is less than the tolerance allows,
    further slots are kept, the most important first; the least, where nothing meets the targets.
    """

    def fill(masks: Masks) -> float:
        return targets.fill(Left(ranked.kept(masks), ranked.blocks))

    masks: Masks = ranked.masks(smallest_reaching(lambda rank: fill(ranked.masks(rank)) <= 1, ranked.count))
    left, refused, grown = fill(masks), set[tuple[int, int]](), True
    while grown and left < 1 - TOLERANCE:
        grown = False
        for group, slot, kind in _slots_by_score(ranked):
            if left >= 1 - TOLERANCE or masks[group][slot] or (group, kind) in refused:
                continue
            more = ranked.with_slot(masks, group, slot)
            if more is None or (filled := fill(more)) > 1:
                refused.add((group, kind))
                continue
            masks, left, grown = more, filled, True
            refused = {entry for entry in refused if entry[0] != group}
    return masks


def _slots_by_score(ranked: Ranked) -> Iterator[tuple[int, int, int]]:
    """Group, slot and kind of every slot, the most important first."""
    found = list[tuple[float, int, int, int]]()
    for group in ranked.graph.prunable():
        kinds = _kinds(group)
        scores = ranked.scores[group.id]
        found += [(float(scores[slot]), group.id, slot, int(kinds[slot])) for slot in range(group.width)]
    return ((group, slot, kind) for _, group, slot, kind in sorted(found, key=lambda entry: (-entry[0], entry[1:])))


def _kinds(group: PruneGroup) -> list[int]:
    """A number per slot: those of the same number are in the same layers and parts equally often, and cost the same."""
    counts = np.stack([np.bincount(part, minlength=group.width) for part in group.parts], axis=1)
    return [int(kind) for kind in np.unique(counts, axis=0, return_inverse=True)[1].ravel()]
