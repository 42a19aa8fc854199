"""The checks of each cfg for the zoo's table: they fill a `Row`, and a fault becomes a line of it."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.zoo_parity import second_opinion, tame_weights
from benchmarks.zoo_row import PARITY, Blocks, Cut, Row
from prune.darknet.netdef import NetDef, format_netdef, parse_netdef
from prune.darknet.records import Weights
from prune.darknet.shapes import largest_stride
from prune.errors import PruneError
from prune.files.reading import read_text
from prune.files.writing import encode_text
from prune.graph.blocks import find_blocks
from prune.graph.channels import EVERYTHING, ChannelGraph, trace_groups
from prune.graph.cost import network_cost
from prune.graph.scope import TIES, Scope
from prune.plan.channel import ChannelPolicy, plan_channels, shares
from prune.plan.types import PrunePlan, digest
from prune.surgery.apply import Pruned, apply
from prune.verify.absorption import check_absorption
from prune.verify.equivalence import check_equivalence

PERCENTS = (0.3, 0.6, 0.85)
_CELLS = 2  # the input's side in cells of the coarsest map


def check_cfg(file: Path, name: str) -> Row:
    """The whole row of one cfg. Never raises for what is wrong with the cfg or with the library."""
    row, start = Row(name), time.process_time()
    row.fault = _fault(name, lambda: _fill(row, file, name))
    row.seconds = time.process_time() - start
    return row


def _fill(row: Row, file: Path, name: str) -> None:
    text = read_text(file)
    netdef = parse_netdef(text, name)
    row.round_trip = encode_text(format_netdef(netdef)) == file.read_bytes()
    cost = network_cost(netdef)
    row.layers, row.parameters, row.warnings = cost.layers, cost.parameters, len(netdef.warnings)
    graph, free = trace_groups(netdef), trace_groups(netdef, EVERYTHING)
    row.prunable, row.unprotected = _share(graph), _share(free)
    row.frozen = _frozen(free)
    small = _shrunk(netdef)
    row.size = (small.net.width, small.net.height)
    weights = tame_weights(small, seed=0)
    opinion = second_opinion(small, weights)
    row.parity, row.unread, row.note = opinion.deviation, opinion.instead, opinion.note
    for percent in PERCENTS:
        for tie in TIES:
            row.cuts.append(_cut(small, weights, Cut(percent, tie)))
    row.blocks = _blocks(small, weights)


def _share(graph: ChannelGraph) -> float:
    return graph.channels(graph.prunable_layers) / max(1, graph.channels(graph.cbl))


def _frozen(graph: ChannelGraph) -> dict[str, int]:
    """Reason without its layer numbers → channels with batch norm."""
    counts = Counter[str]()
    for index in graph.frozen_layers:
        reason = graph.group(index).frozen or ""
        counts[re.sub(r" (at )?\(?layer \d+\)?| \(.*\)$", "", reason)] += graph.netdef.convolution(index).filters
    return dict(counts.most_common())


def _shrunk(netdef: NetDef) -> NetDef:
    """The same network on an input of `_CELLS` cells per side."""
    side = str(largest_stride(netdef) * _CELLS)
    return netdef.with_net_option("width", side).with_net_option("height", side)


def _cut(netdef: NetDef, weights: Weights, cut: Cut) -> Cut:
    def run() -> None:
        graph = trace_groups(netdef, Scope(cut.tie))
        plan = plan_channels(graph, weights, ChannelPolicy(percent=cut.percent, rule="share"))
        cut.real = shares(graph, plan, cut.percent).of_all
        pruned = apply(netdef, weights, plan)
        cut.notes = len(pruned.notes)
        cut.equivalence, cut.reread = _examined(pruned)

    cut.fault = _fault(netdef.path, run)
    return cut


def _blocks(netdef: NetDef, weights: Weights) -> Blocks:
    """All removable blocks at once."""
    found = find_blocks(netdef)
    removable = tuple(block.shortcut for block in found if block.reason is None)
    kept = Counter(re.sub(r"layer \d+", "layer N", block.reason) for block in found if block.reason is not None)
    blocks = Blocks(len(found), len(removable), kept=dict(kept))

    def run() -> None:
        pruned = apply(netdef, weights, PrunePlan(digest(netdef, weights), (), removable))
        blocks.layers_removed = len(netdef.layers) - len(pruned.netdef.layers)
        blocks.equivalence, blocks.reread = _examined(pruned)

    blocks.fault = _fault(netdef.path, run) if removable else ""
    return blocks


def _examined(pruned: Pruned) -> tuple[float, float]:
    """The deviations of the equivalence check and of a second opinion. Raises ValueError where the latter is too
    large, VerificationError where a check fails."""
    check_absorption(pruned)
    deviation, opinion = check_equivalence(pruned), second_opinion(pruned.netdef, pruned.weights)
    if not opinion.deviation <= PARITY:
        raise ValueError(f"the second opinion on the pruned pair differs by {opinion.deviation:.1e}")
    return deviation, opinion.deviation


def _fault(name: str, run: Callable[[], None]) -> str:
    """Runs it; returns the error's line, or nothing. Any exception counts: one bad cfg must not end the table."""
    try:
        run()
    except PruneError as error:
        return str(error)
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}".splitlines()[0][:300]
    return ""
