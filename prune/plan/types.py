"""`PrunePlan`: an explicit, checked, storable list of what will be cut."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prune.darknet.cfg import shown
from prune.darknet.netdef import MOST_LAYERS, NetDef
from prune.darknet.network import Network
from prune.darknet.records import Weights
from prune.darknet.shapes import MOST_CHANNELS
from prune.errors import PlanError
from prune.files.reading import read_text
from prune.files.writing import atomic_write
from prune.graph.blocks import ResidualBlock, find_blocks
from prune.graph.channels import ChannelGraph
from prune.graph.scope import PROTECTIONS, TIES, Scope
from prune.plan import fields
from prune.plan.policy import parse_policy

FORMAT = 2
_COLUMNS = 2039
_ANEW = "create a new one without --plan"


@dataclass(frozen=True, slots=True, eq=False)
class ChannelMask:
    """Which slots of a prune group are kept. keep (width,) bool.

    `producers`: the layers that write the group's channels, where a stored plan names them; else None.
    """

    group: int
    keep: NDArray[np.bool_]
    producers: tuple[int, ...] | None = None

    @property
    def cut(self) -> list[int]:
        """The slots that are cut, ascending."""
        return [int(slot) for slot in np.flatnonzero(~self.keep)]


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What to cut from the network whose `source_digest` this is. An empty plan is the identity.

    `removed` contains the shortcuts of the residual blocks to remove. `policy` says how the plan came about;
    `notes` name what could not be kept exact; `scope`: what could be cut, where the plan says so.
    """

    source_digest: str
    masks: tuple[ChannelMask, ...] = ()
    removed: tuple[int, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    scope: Scope | None = None

    def keep(self) -> dict[int, NDArray[np.bool_]]:
        """Group id → mask over its slots."""
        return {mask.group: mask.keep for mask in self.masks}

    def validate(self, graph: ChannelGraph) -> None:
        """Raises PlanError where the plan does not fit the network or breaks one of its constraints."""
        if len(self.keep()) < len(self.masks) or len(set(self.removed)) < len(self.removed):
            raise PlanError("the plan names a group or a block twice")
        for mask in self.masks:
            _validate_mask(mask, graph)
        blocks_at(graph.netdef, self.removed, graph.scope)

    def check_source(self, netdef: NetDef, weights: Weights) -> None:
        """Raises PlanError where the plan was made for another pair."""
        if self.source_digest != digest(netdef, weights):
            raise PlanError(f"the plan was made for another cfg or other weights than {netdef.path}")

    def describe(self, graph: ChannelGraph) -> str:
        """One line per group that loses channels, one per removed block."""
        lines = [_describe_mask(mask, graph) for mask in self.masks if not mask.keep.all()]
        for block in blocks_at(graph.netdef, self.removed, graph.scope):
            lines.append(f"block {block.body[0]}-{block.layers[-1]}: {len(block.layers)} layers removed")
        return "\n".join([*lines, *self.notes]) or "nothing is cut"


def blocks_at(netdef: NetDef, shortcuts: Sequence[int], scope: Scope | None = None) -> tuple[ResidualBlock, ...]:
    """The removable blocks of some shortcut layers. Raises PlanError where there is none, with the reason."""
    found = {block.shortcut: block for block in find_blocks(netdef, scope)} if shortcuts else {}
    for shortcut in shortcuts:
        block = found.get(shortcut)
        if block is None or not block.body:
            why = f": {block.reason}" if block else ""
            raise PlanError(f"{netdef.path}: no residual block ends at layer {shortcut}{why}")
        if block.reason is not None:
            raise PlanError(f"{netdef.path}: the block at shortcut {shortcut} cannot be removed: {block.reason}")
    return tuple(found[shortcut] for shortcut in shortcuts)


def digest(network: Network, weights: Weights) -> str:
    """A fingerprint of a pair: hex SHA-256 over the network's and sums of the weights' bytes.

    It distinguishes pairs but does not detect forgery: hashing every byte would take longer than planning.
    """
    total = hashlib.sha256(network.fingerprint)
    for index in sorted(weights.records):
        for array in weights.records[index].arrays():
            total.update(_sums(array))
    return total.hexdigest()


def _sums(array: NDArray[np.float32]) -> bytes:
    """The array as words in rows of a prime number, added up by column: any change shows, and most swaps."""
    words = np.ascontiguousarray(array).reshape(-1).view(np.uint32)
    rows = words[: words.size // _COLUMNS * _COLUMNS].reshape(-1, _COLUMNS)
    sums: NDArray[np.uint32] = np.add.reduce(rows, axis=0, dtype=np.uint32)
    return sums.tobytes() + words[rows.size :].tobytes()


def format_plan(plan: PrunePlan, graph: ChannelGraph) -> str:
    """The plan as JSON: complete, so that it can be replayed on the same input."""
    masks = [
        {
            "group": mask.group,
            "producers": list(graph.groups[mask.group].producers),
            "width": len(mask.keep),
            "cut": mask.cut,
        }
        for mask in plan.masks
    ]
    document = {
        "format": FORMAT,
        "source_digest": plan.source_digest,
        "policy": dict(plan.policy),
        **({} if plan.scope is None else {"scope": asdict(plan.scope)}),
        "removed_blocks": list(plan.removed),
        "masks": masks,
        "notes": list(plan.notes),
    }
    return json.dumps(document, indent=1) + "\n"


def parse_plan(text: str, path: Path | str = "<plan>") -> PrunePlan:
    """The inverse of `format_plan`. Raises PlanError on what is not a plan."""
    try:
        document = fields.load_strict(text)
        if (version := fields.member(document, "format")) != FORMAT:
            raise ValueError(f"it has the format {shown(repr(version))}, this version reads {FORMAT}")
        masks = tuple(map(_parse_mask, fields.sequence(fields.member(document, "masks"), "masks")))
        if sum(len(mask.keep) for mask in masks) > 8 * MOST_CHANNELS:
            raise ValueError(f"its masks are wider than {8 * MOST_CHANNELS} channels")
        notes = tuple(map(str, fields.sequence(fields.member(document, "notes"), "notes")))
        return PrunePlan(
            fields.word(fields.member(document, "source_digest"), "source_digest"),
            masks,
            fields.wholes(fields.member(document, "removed_blocks"), "removed_blocks", MOST_LAYERS),
            parse_policy(fields.member(document, "policy")),
            notes,
            _parse_scope(document["scope"]) if "scope" in document else None,
        )
    except json.JSONDecodeError as cause:
        raise PlanError(f"{path}:{cause.lineno}: is not JSON ({cause.msg}); {_ANEW}") from cause
    except ValueError as cause:
        raise PlanError(f"{path}: is not a plan of this project: {cause}; {_ANEW}") from cause


def write_plan(path: Path | str, plan: PrunePlan, graph: ChannelGraph) -> None:
    """Writes a `plan.json`, whole or not at all. Raises OSError where it cannot be written."""
    atomic_write(path, format_plan(plan, graph))


def read_plan(path: Path | str) -> PrunePlan:
    """Reads a `plan.json`. Raises PlanError, or FileError where it cannot be read."""
    return parse_plan(read_text(path), path)


def _parse_mask(entry: Any) -> ChannelMask:
    group = fields.whole(fields.member(entry, "group"), "group", MOST_CHANNELS)
    width = fields.whole(fields.member(entry, "width"), "width", MOST_CHANNELS)
    keep = np.ones(width, bool)
    keep[list(fields.wholes(fields.member(entry, "cut"), "cut", width - 1))] = False
    producers = fields.wholes(entry["producers"], "producers", MOST_LAYERS) if "producers" in entry else None
    return ChannelMask(group, keep, producers)


def _parse_scope(value: Any) -> Scope:
    tie = fields.one_of(fields.member(value, "tie"), "tie", TIES)
    protect = fields.sequence(fields.member(value, "protect"), "protect")
    kinds = tuple(fields.one_of(kind, "protect", PROTECTIONS) for kind in protect)
    return Scope(tie, kinds, fields.wholes(fields.member(value, "keep"), "keep", MOST_LAYERS))


def _validate_mask(mask: ChannelMask, graph: ChannelGraph) -> None:
    if not 0 <= mask.group < len(graph.groups):
        raise PlanError(f"group {mask.group}: {graph.netdef.path} has {len(graph.groups)} groups")
    group = graph.groups[mask.group]
    if len(mask.keep) != group.width:
        raise PlanError(f"group {mask.group} is {group.width} channels wide, the mask {len(mask.keep)}")
    if mask.producers is not None and mask.producers != group.producers:
        named, real = _list(mask.producers), _list(group.producers)
        raise PlanError(f"group {mask.group} is written by layers {real}, the plan says {named}")
    if not mask.keep.all() and group.frozen is not None:
        raise PlanError(f"group {mask.group} (layers {_list(group.producers)}) is frozen: {group.frozen}")
    if any(not mask.keep[part].any() for part in group.parts):
        raise PlanError(f"group {mask.group} (layers {_list(group.producers)}): a layer would keep no channel")
    for parts in group.equal:
        if len({int(mask.keep[part].sum()) for part in parts}) > 1:
            raise PlanError(f"group {mask.group}: its {len(parts)} parts must keep equal counts")


def _describe_mask(mask: ChannelMask, graph: ChannelGraph) -> str:
    producers = _list(graph.groups[mask.group].producers)
    return f"group {mask.group} (layers {producers}): {len(mask.keep)} -> {int(mask.keep.sum())} channels"


def _list(indices: tuple[int, ...]) -> str:
    return ", ".join(map(str, indices))
