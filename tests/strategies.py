"""Hypothesis strategies: random small networks as cfg text, their weights, and valid plans for them.

Networks read 16×16 images and have up to some twenty-five layers of at most 12 channels. Set PRUNE_EXAMPLES
to look deeper than a test run does (and at other examples each time).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random
from typing import cast

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from prune.darknet.layers import Convolutional
from prune.darknet.layout import Slot, slots
from prune.darknet.netdef import NetDef, parse_netdef
from prune.darknet.records import ConvParams, Floats, Header, Record, ShortcutParams, Weights
from prune.graph.blocks import removable_blocks
from prune.graph.channels import ChannelGraph, PruneGroup, trace_groups
from prune.graph.scope import Scope
from prune.plan.channel import RULES, ChannelPolicy, plan_channels
from prune.plan.types import ChannelMask, PrunePlan, digest
from tests.builder import Builder

_EXAMPLES = os.environ.get("PRUNE_EXAMPLES")
Mask = NDArray[np.bool_]


def examples(usual: int) -> settings:
    """A decorator: `usual` examples, always the same ones, or PRUNE_EXAMPLES many, each time others."""
    return settings(
        max_examples=int(_EXAMPLES or usual),
        deadline=None,
        derandomize=_EXAMPLES is None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


randoms: st.SearchStrategy[Random] = st.randoms(use_true_random=False)
seeds: st.SearchStrategy[int] = st.integers(0, 2**32 - 1)


@st.composite
def netdefs(draw: st.DrawFn, gates: bool = True) -> NetDef:
    """A network whose layers fit each other; without `gates` no scale_channels and no sam."""
    return parse_netdef(Builder(draw(randoms), gates).network(), "random.cfg")


@st.composite
def networks(draw: st.DrawFn, gates: bool = True) -> tuple[NetDef, Weights]:
    """A network and float64 weights of tame γ."""
    netdef = draw(netdefs(gates))
    return netdef, tame_weights(netdef, draw(seeds))


@st.composite
def pruning_tasks(draw: st.DrawFn, gates: bool = True) -> tuple[NetDef, Weights, PrunePlan]:
    """A network, its weights and a plan for it: channels by policy or by chance, blocks, or both at once."""
    netdef, weights = draw(networks(gates))
    return netdef, weights, draw(plans(netdef, weights))


@st.composite
def plans(draw: st.DrawFn, netdef: NetDef, weights: Weights) -> PrunePlan:
    """A valid plan: channels by policy or by chance (or none), and any of the removable blocks (or none)."""
    random = draw(randoms)
    graph = trace_groups(netdef, draw(scopes()))
    kind = random.choice(["policy", "chance", "chance", "none"])
    masks = tuple[ChannelMask, ...]()
    if kind == "chance":
        masks = chance_masks(graph, random)
    elif kind == "policy" and any(True for _ in graph.prunable()):
        masks = plan_channels(graph, weights, draw(policies())).masks
    share = random.choice([0.0, 0.5, 1.0])
    removed = tuple(block.shortcut for block in removable_blocks(netdef) if random.random() < share)
    return PrunePlan(digest(netdef, weights), masks, removed, {"kind": kind})


def scopes() -> st.SearchStrategy[Scope]:
    """A scope in which all that the cfg language can express can be cut."""
    return st.builds(Scope, tie=st.sampled_from(["union", "first"]), protect=st.just(()))


def policies() -> st.SearchStrategy[ChannelPolicy]:
    """Any valid policy."""
    return st.builds(
        ChannelPolicy,
        percent=st.floats(0, 0.999),
        rule=st.sampled_from(RULES),
        layer_keep=st.sampled_from([0.0, 0.01, 0.3]),
    )


def chance_masks(graph: ChannelGraph, random: Random, share: float | None = None) -> tuple[ChannelMask, ...]:
    """Masks by chance, corrected until they meet the constraints of their groups."""
    rng = np.random.default_rng(random.getrandbits(32))
    rate = rng.choice([0.2, 0.5, 0.9]) if share is None else share
    return tuple(ChannelMask(group.id, _chance_keep(group, rate, rng)) for group in graph.prunable())


def _chance_keep(group: PruneGroup, rate: float, rng: np.random.Generator) -> Mask:
    keep = rng.random(group.width) >= rate
    for part in group.parts:
        if not keep[part].any():
            keep[rng.choice(part)] = True
    for parts in group.equal:
        most = max(int(keep[part].sum()) for part in parts)
        for part in parts:
            gone = part[~keep[part]]
            keep[rng.permutation(gone)[: most - int(keep[part].sum())]] = True
    return keep


def tame_weights(netdef: NetDef, seed: int) -> Weights:
    """float64 weights with |γ| of 0.5 ± 0.2 and either sign, so that rounding is not amplified."""
    rng = np.random.default_rng(seed)
    records = {slot.layer.index: _tame_record(slot, rng) for slot in slots(netdef)}
    return Weights(Header(seen=int(rng.integers(1 << 40))), records)


def _tame_record(slot: Slot, rng: np.random.Generator) -> Record:
    shape, layer = slot.shape, slot.layer
    if not isinstance(layer, Convolutional):
        return ShortcutParams(doubles(rng.uniform(-0.3, 1.0, shape)))
    weight = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    bias = rng.standard_normal(layer.filters) * 0.5
    if not layer.batch_normalize:
        return ConvParams(doubles(weight), doubles(bias))
    gamma = rng.uniform(0.3, 0.7, layer.filters) * rng.choice([-1.0, 1.0], layer.filters)
    mean, var = rng.standard_normal(layer.filters) * 0.3, rng.uniform(0.5, 1.5, layer.filters)
    return ConvParams(*map(doubles, (weight, bias, gamma, mean, var)))


def doubles(array: NDArray[np.float64]) -> Floats:
    """float64 under the type of the records: the core keeps whatever dtype it is given."""
    return cast(Floats, array)


def as_float32(weights: Weights) -> Weights:
    """The same weights as a file would store them."""

    def record(params: Record) -> Record:
        arrays = [array.astype(np.float32) for array in params.arrays()]
        if isinstance(params, ShortcutParams):
            return ShortcutParams(*arrays)
        return ConvParams(arrays[-1], *arrays[:-1])

    return Weights(weights.header, {index: record(params) for index, params in weights.records.items()})


def arrays_of(weights: Weights) -> Iterator[tuple[int, Floats]]:
    """(layer, array) in the order of the file."""
    return ((index, array) for index in sorted(weights.records) for array in weights.records[index].arrays())
