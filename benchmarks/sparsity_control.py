"""The controls of sparse training: the same parameters or BFLOPs, cut from the baseline at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prune.darknet.netdef import read_netdef, write_netdef
from prune.darknet.records import Weights
from prune.darknet.weights import read_weights, write_weights
from prune.graph.channels import ChannelGraph, trace_groups
from prune.plan.amount import parse_amount
from prune.plan.budget import BUDGETS
from prune.plan.goal import reachable_goal
from prune.plan.score import Scores, gammas
from prune.plan.types import PrunePlan, digest
from prune.surgery.apply import apply
from prune.verify.absorption import check_absorption
from prune.verify.equivalence import check_equivalence


def reader_scores(graph: ChannelGraph, weights: Weights) -> Scores:
    """(ids,) |γ| × ‖kernels that read the channel‖, divided by the mean of its layer."""
    strength = np.zeros(graph.trace.total)
    for layer in graph.netdef.convolutions:
        kernel = weights.conv(layer.owner).weight.astype(np.float64)
        squares = (kernel**2).reshape(layer.groups, -1, *kernel.shape[1:]).sum(axis=(1, 3, 4)).ravel()
        np.add.at(strength, graph.trace.reads[layer.index], squares)
    scores = gammas(graph, weights) * np.sqrt(strength)
    for index in graph.cbl:
        own = graph.trace.outputs[index]
        scores[own] /= scores[own].mean()
    return scores


def cut_at_once(cfg: Path, weights_file: Path, budget: str, target: str, out: Path) -> None:
    """Write pruned.cfg and pruned.weights, with `target` of the parameters or BFLOPs, unless they are there."""
    if (out / "pruned.weights").is_file():
        return
    netdef = read_netdef(cfg)
    weights, graph = read_weights(weights_file, netdef), trace_groups(netdef)
    goal = reachable_goal(graph, BUDGETS[budget], parse_amount(target), "target")
    masks = goal.choose(graph, reader_scores(graph, weights))
    plan = PrunePlan(digest(netdef, weights), masks, (), {"kind": "channels"}, scope=graph.scope)
    pruned = apply(netdef, weights, plan)
    check_equivalence(pruned)
    check_absorption(pruned)
    out.mkdir(parents=True, exist_ok=True)
    write_netdef(out / "pruned.cfg", pruned.netdef)
    write_weights(out / "pruned.weights", pruned.weights, pruned.netdef)
