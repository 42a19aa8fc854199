"""Why a prune group cannot be cut, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from prune.darknet.layers import IMAGE, Head, Layer
from prune.darknet.netdef import NetDef
from prune.graph.parts import Constraints
from prune.graph.scope import Scope
from prune.graph.trace import ChannelSpaces, Ids


def frozen_reasons(
    netdef: NetDef,
    trace: ChannelSpaces,
    group_of: Ids,
    constraints: Mapping[int, Constraints],
    scope: Scope,
) -> dict[int, str]:
    """Group number → the first reason that applies to it; groups that can be cut are absent."""
    reasons: dict[int, str] = {}
    sources = (
        _fixed(netdef, trace, group_of),
        _without_gamma(netdef, trace, group_of),
        ((group, found.conflict) for group, found in constraints.items() if found.conflict),
        _kept(trace, group_of, scope),
        _tied(trace, group_of) if scope.tie == "freeze" else iter(()),
        _protected(trace, group_of) if "upsample" in scope.protect else iter(()),
    )
    for source in sources:
        for group, reason in source:
            reasons.setdefault(group, reason)
    return reasons


def _fixed(netdef: NetDef, trace: ChannelSpaces, group_of: Ids) -> Iterator[tuple[int, str]]:
    yield int(group_of[trace.starts[IMAGE]]), "is the network's image, or tied to it"
    for head, ids in trace.heads:
        for group in np.unique(group_of[ids]):
            yield int(group), f"feeds the head at layer {head}"
    for layer in unread_layers(netdef):
        for group in np.unique(group_of[trace.outputs[layer.index]]):
            yield int(group), f"is an output of the network (layer {layer.index})"
    for frozen in trace.frozen:
        for group in np.unique(group_of[frozen.ids]):
            yield int(group), frozen.reason
    yield from _shared(netdef, trace, group_of)


def _shared(netdef: NetDef, trace: ChannelSpaces, group_of: Ids) -> Iterator[tuple[int, str]]:
    """What layers with shared floats read and write: a cut or an absorbed constant of one would change the other."""
    for layer in netdef.convolutions:
        for index in () if layer.share is None else (layer.share, layer.index):
            for group in np.unique(group_of[np.concatenate([trace.reads[index], trace.outputs[index]])]):
                yield int(group), f"layers {layer.share} and {layer.index} use the same floats (share_index)"


def unread_layers(netdef: NetDef) -> list[Layer]:
    """Layers without consumers that are not heads: outputs of the network."""
    consumers = netdef.consumers()
    return [layer for layer in netdef.layers if not consumers[layer.index] and not isinstance(layer, Head)]


def _without_gamma(netdef: NetDef, trace: ChannelSpaces, group_of: Ids) -> Iterator[tuple[int, str]]:
    with_gamma = {int(group_of[trace.starts[c.index]]) for c in netdef.convolutions if c.batch_normalize}
    for layer in netdef.convolutions:
        if (group := int(group_of[trace.starts[layer.index]])) not in with_gamma:
            yield group, "no member has a γ (no batch norm)"


def _kept(trace: ChannelSpaces, group_of: Ids, scope: Scope) -> Iterator[tuple[int, str]]:
    for layer in scope.keep:
        for group in np.unique(group_of[trace.outputs[layer]]):
            yield int(group), scope.kept((layer,)) or ""


def _tied(trace: ChannelSpaces, group_of: Ids) -> Iterator[tuple[int, str]]:
    for tie in trace.ties:
        if tie.kind == "add":
            yield int(group_of[tie.first[0]]), f"tied by the shortcut at layer {tie.layer} (--tie freeze)"


def _protected(trace: ChannelSpaces, group_of: Ids) -> Iterator[tuple[int, str]]:
    for upsample, ids in trace.upsamples:
        for group in np.unique(group_of[ids]):
            yield int(group), f"protected: feeds the upsample at layer {upsample} (--protect '' lifts it)"
