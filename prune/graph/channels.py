"""`ChannelGraph`: prune groups (what must be cut together), why some cannot be cut, and queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import IMAGE
from prune.darknet.netdef import NetDef
from prune.errors import PlanError
from prune.graph.freeze import frozen_reasons
from prune.graph.parts import Constraints, combined
from prune.graph.scope import Scope
from prune.graph.trace import ChannelSpaces, Ids, linked_ids, tied_slots, trace_channels

EVERYTHING = Scope(protect=())
"""All that the cfg language can express as cut."""


@dataclass(frozen=True, slots=True)
class PruneGroup:
    """Channels that must be cut together. A *slot* is one such channel of the group, 0 … width−1.

    `members` maps each producing convolution to the slots of its channels (ascending channel).
    `parts` are slots of which not all may be cut; of each tuple of slot sets in `equal` equal counts must be kept.
    `shortcuts` are the layers that tie it. `frozen` says why it cannot be cut, or is None.
    """

    id: int
    width: int
    members: Mapping[int, Ids]
    parts: tuple[Ids, ...]
    equal: tuple[tuple[Ids, ...], ...]
    shortcuts: tuple[int, ...]
    frozen: str | None

    @property
    def producers(self) -> tuple[int, ...]:
        """The layer indices of the convolutions that write these channels, ascending."""
        return tuple(self.members)


@dataclass(frozen=True, slots=True)
class ChannelGraph:
    """The channels of a network, and in `scope` what decided which groups are frozen.

    `slot_of` maps each id to the slot in its group, `group_of` to the group.
    """

    netdef: NetDef
    scope: Scope
    trace: ChannelSpaces
    groups: tuple[PruneGroup, ...]
    group_of: Ids
    slot_of: Ids

    def group(self, producer: int) -> PruneGroup:
        """The group a convolution's output belongs to."""
        self.netdef.convolution(producer)
        return self.groups[int(self.group_of[self.trace.starts[producer]])]

    def kept_ids(self, keep: Mapping[int, NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """For every id whether it is kept, from masks over the slots of groups (by group id)."""
        kept = np.ones(self.trace.total, bool)
        for group_id, mask in keep.items():
            if not 0 <= group_id < len(self.groups) or len(mask) != self.groups[group_id].width:
                raise PlanError(f"group {group_id} with {len(mask)} channels is not in {self.netdef.path}")
            ids = np.flatnonzero(self.group_of == group_id)
            kept[ids] = mask[self.slot_of[ids]]
        return kept

    @property
    def cbl(self) -> tuple[int, ...]:
        """Layer indices of the convolutions with batch norm, whatever their activation."""
        return tuple(layer.index for layer in self.netdef.convolutions if layer.batch_normalize)

    @property
    def conv(self) -> tuple[int, ...]:
        """Layer indices of the convolutions without batch norm."""
        return tuple(layer.index for layer in self.netdef.convolutions if not layer.batch_normalize)

    @property
    def prunable_layers(self) -> tuple[int, ...]:
        """Layer indices of the CBL whose channels can be cut (`prune` of `explain`)."""
        return tuple(index for index in self.cbl if self.group(index).frozen is None)

    @property
    def frozen_layers(self) -> tuple[int, ...]:
        """Layer indices of the CBL whose channels cannot be cut (`ignore` of `explain`)."""
        return tuple(index for index in self.cbl if self.group(index).frozen is not None)

    def prunable(self) -> Iterator[PruneGroup]:
        """The groups that can be cut."""
        return (group for group in self.groups if group.frozen is None)

    def channels(self, layers: tuple[int, ...]) -> int:
        """The sum of the output channels of some convolutions."""
        return sum(self.netdef.convolution(index).filters for index in layers)


def trace_groups(netdef: NetDef, scope: Scope | None = None) -> ChannelGraph:
    """Follows the channels of a network and forms its prune groups (default: those of `Scope()`).

    Raises UsageError where `scope` keeps a layer that the network does not have, CfgError where layers do not fit
    each other.
    """
    scope = scope or Scope()
    scope.check(netdef)
    trace = trace_channels(netdef)
    labels = tied_slots(trace)
    group_of = _component_of_ids(netdef, trace)
    slot_of = np.zeros(trace.total, np.int64)
    widths = []
    for ids in np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1]):
        slots, slot_of[ids] = np.unique(labels[ids], return_inverse=True)
        widths.append(len(slots))
    constraints = _constraints(trace, group_of, slot_of)
    reasons = frozen_reasons(netdef, trace, group_of, constraints, scope)
    members, shortcuts = _members(netdef, trace, group_of, slot_of), _shortcuts(trace, group_of)
    groups = tuple(
        _group(number, width, members[number], constraints.get(number), shortcuts[number], reasons.get(number))
        for number, width in enumerate(widths)
    )
    return ChannelGraph(netdef, scope, trace, groups, group_of, slot_of)


def _group(
    number: int,
    width: int,
    members: dict[int, Ids],
    constraints: Constraints | None,
    shortcuts: set[int],
    frozen: str | None,
) -> PruneGroup:
    equal = constraints.equal if constraints else ()
    parts = (*members.values(), *(part for parts in equal for part in parts))
    return PruneGroup(number, width, members, parts, equal, tuple(sorted(shortcuts)), frozen)


def _members(netdef: NetDef, trace: ChannelSpaces, group_of: Ids, slot_of: Ids) -> dict[int, dict[int, Ids]]:
    """Group number → producer → the slots of its channels."""
    found: dict[int, dict[int, Ids]] = defaultdict(dict)
    for layer in netdef.convolutions:
        found[int(group_of[trace.starts[layer.index]])][layer.index] = slot_of[trace.ids_of(layer.index, layer.filters)]
    return found


def _constraints(trace: ChannelSpaces, group_of: Ids, slot_of: Ids) -> dict[int, Constraints]:
    needs: dict[int, list[tuple[int, tuple[Ids, ...]]]] = defaultdict(list)
    for equal in trace.equal:
        parts = tuple(slot_of[part] for part in equal.parts)
        needs[int(group_of[equal.parts[0][0]])].append((equal.layer, parts))
    return {number: combined(found) for number, found in needs.items()}


def _shortcuts(trace: ChannelSpaces, group_of: Ids) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for tie in trace.ties:
        if tie.kind == "add":
            found[int(group_of[tie.first[0]])].add(tie.layer)
    return found


def _component_of_ids(netdef: NetDef, trace: ChannelSpaces) -> Ids:
    """For every id the number of its group: producers joined by ties and constraints, in cfg order."""
    producers = [IMAGE, *(layer.index for layer in netdef.convolutions)]
    widths = [netdef.net.channels, *(layer.filters for layer in netdef.convolutions)]
    space_of = np.repeat(np.arange(len(producers)), widths)
    parent = list(range(len(producers)))

    def root(space: int) -> int:
        while parent[space] != space:
            parent[space] = space = parent[parent[space]]
        return space

    for ids in linked_ids(trace):
        first, *others = sorted({root(int(space)) for space in np.unique(space_of[ids])})
        for other in others:
            parent[other] = first
    roots = [root(space) for space in range(len(producers))]
    numbers = {space: number for number, space in enumerate(sorted(set(roots)))}
    return np.array([numbers[space] for space in roots])[space_of]
