"""A second opinion: torch-pruning finds the same groups and cuts to the same network (where β = 0)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from prune.darknet.netdef import NetDef, format_netdef, parse_netdef, read_netdef
from prune.darknet.records import Weights
from prune.graph.channels import EVERYTHING, ChannelGraph, PruneGroup, trace_groups
from prune.model.build import DarknetModel
from prune.model.state import load_weights
from prune.plan.types import ChannelMask, PrunePlan, digest
from prune.surgery.apply import apply
from tests.shared import REPOSITORY
from tests.strategies import as_float32, doubles, tame_weights

tp = pytest.importorskip("torch_pruning")
SIDE = 64


def narrowed(name: str, divisor: int) -> NetDef:
    """A network of ours with every convolution before batch norm `divisor` times narrower."""
    netdef = read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")
    text = format_netdef(netdef)
    for layer in netdef.convolutions:
        if layer.batch_normalize:
            text = text.replace(f"filters={layer.filters}\n", f"filters= {layer.filters // divisor}\n")
    return parse_netdef(text, f"{name} narrowed")


def dependencies(model: DarknetModel) -> Any:
    imgs = torch.zeros(1, 3, SIDE, SIDE)
    return tp.DependencyGraph().build_dependency(model, example_inputs=imgs)


def their_producers(model: DarknetModel, graph: Any, producer: int) -> set[int]:
    """The convolutions that torch-pruning cuts together with one."""
    index_of: dict[nn.Module, int] = {block.conv: index for index, block in model.convolutions()}
    cut = tp.prune_conv_out_channels
    group = graph.get_pruning_group(model.block(producer).conv, cut, idxs=[0])
    return {
        index_of[item.dep.target.module]
        for item in group
        if item.dep.target.module in index_of and item.dep.handler == cut
    }


def tied(graph: ChannelGraph) -> list[PruneGroup]:
    return [group for group in graph.groups if group.shortcuts]


@pytest.mark.parametrize(
    ("name", "ties"), [("yolov3", 5), ("yolov3-spp", 5), ("yolov4", 5), ("yolov3-tiny", 0), ("yolov3-nano", 3)]
)
def test_both_tie_the_same_layers(name: str, ties: int) -> None:
    netdef = narrowed(name, 8)
    model, graph = DarknetModel(netdef).eval(), trace_groups(netdef, EVERYTHING)
    found = dependencies(model)
    assert len(tied(graph)) == ties
    for group in graph.groups:
        if group.producers and group.frozen is None:
            assert their_producers(model, found, group.producers[0]) == set(group.producers)


def without_beta(weights: Weights, dead: dict[int, list[int]]) -> Weights:
    """The same weights with β = 0 and γ = 0 at some channels: nothing to absorb."""
    records = dict(weights.records)
    for index, channels in dead.items():
        gamma, beta = (np.array(array) for array in (weights.conv(index).gamma, weights.conv(index).bias))
        gamma[channels], beta[channels] = 0, 0
        records[index] = replace(weights.conv(index), gamma=doubles(gamma), bias=doubles(beta))
    return Weights(weights.header, records)


@pytest.mark.parametrize("name", ["yolov3", "yolov3-spp", "yolov4", "yolov3-tiny", "yolov3-nano"])
def test_both_cut_to_the_same_network(name: str) -> None:
    netdef = narrowed(name, 8)
    graph, rng = trace_groups(netdef, EVERYTHING), np.random.default_rng(0)
    cut = {group.id: sorted(rng.permutation(group.width)[: group.width // 2].tolist()) for group in graph.prunable()}
    dead = {index: cut[graph.group(index).id] for index in graph.prunable_layers}
    weights = without_beta(as_float32(tame_weights(netdef, 0)), dead)
    model = DarknetModel(netdef).eval()
    load_weights(model, weights)
    imgs = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        original = model(imgs)
        ours = ours_of(netdef, weights, graph, cut)(imgs)
    found = dependencies(model)
    for group in graph.prunable():
        conv = model.block(group.producers[0]).conv
        found.get_pruning_group(conv, tp.prune_conv_out_channels, idxs=cut[group.id]).prune()
    with torch.no_grad():
        theirs = model(imgs)
    for a, b, c in zip(ours, theirs, original, strict=True):
        assert float((a - b).abs().max()) <= 1e-5 * float(b.abs().max())
        assert float((a - c).abs().max()) <= 1e-5 * float(c.abs().max())


def ours_of(netdef: NetDef, weights: Weights, graph: ChannelGraph, cut: dict[int, list[int]]) -> DarknetModel:
    masks = []
    for group, slots in cut.items():
        keep = np.ones(graph.groups[group].width, bool)
        keep[slots] = False
        masks.append(ChannelMask(group, keep))
    pruned = apply(netdef, weights, PrunePlan(digest(netdef, weights), tuple(masks)))
    model = DarknetModel(pruned.netdef).eval()
    load_weights(model, pruned.weights)
    return model
