"""Runs the core on a cfg and weights that may be damaged: it must give a named error or a valid result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz_mutate import mutate_cfg
from benchmarks.fuzz_weights import mutate_weights
from prune.darknet.netdef import NetDef, format_netdef, parse_netdef
from prune.darknet.records import Weights
from prune.darknet.shapes import shapes
from prune.darknet.weights import random_weights, read_partial, read_weights, write_weights
from prune.errors import PruneError, VerificationError
from prune.files.writing import encode_text
from prune.graph.blocks import find_blocks, removable_blocks
from prune.graph.channels import trace_groups
from prune.graph.cost import network_cost
from prune.graph.scope import TIES, Scope
from prune.plan.channel import RULES, ChannelPolicy, Rule, plan_channels
from prune.plan.types import PrunePlan, digest, format_plan, parse_plan
from prune.surgery.apply import Pruned, apply
from prune.surgery.classes import adapt_classes

SMALL = 1_000_000
"""Networks of fewer floats than this are also cut, with random weights."""
# What the equivalence check computes twice, in float64, must stay short and fit the child's memory.
_SMALL_WORK = 0.05  # billion operations at the cfg's size
_SMALL_MAPS = 10_000_000  # numbers in all maps together

Check = Callable[[Pruned], object]
"""What `prune.verify` checks, or nothing where torch is not wanted."""


class BrokenPromiseError(AssertionError):
    """The library broke one of its guarantees."""


@dataclass(frozen=True, slots=True)
class Case:
    """A damaged cfg, and whether the weights are damaged too; the same number makes the same case."""

    number: int
    text: str
    random: Random
    damaged_weights: bool


def make_case(seed: int, number: int, corpus: Sequence[str]) -> Case:
    """Case `number` of a run: mostly a changed text of the corpus, else an unchanged text with damaged weights."""
    random = Random(f"{seed}:{number}")
    text, damaged = random.choice(corpus), random.random() < 0.15
    return Case(number, text if damaged else mutate_cfg(text, corpus, random), random, damaged)


def exercise(case: Case, folder: Path, check: Check | None = None) -> str:
    """The outcome of a case: an error's class, or how far a valid network got. Raises all else.

    Files are written to `folder`; small networks that were cut go through `check`.
    """
    try:
        return _stages(case, folder, check)
    except PruneError as error:
        message = str(error)
        if len(message.splitlines()) != 1 or len(message) > 1000:
            raise BrokenPromiseError(f"the message is not one short line: {message[:200]!r}") from error
        if isinstance(error, VerificationError) and not case.damaged_weights and "not finite" not in message:
            raise BrokenPromiseError(f"the checks refused a cut of undamaged weights: {message}") from error
        return type(error).__name__


def _stages(case: Case, folder: Path, check: Check | None) -> str:
    random = case.random
    netdef = parse_netdef(case.text, "mutated.cfg")
    if format_netdef(netdef) != case.text or encode_text(format_netdef(netdef)) != encode_text(case.text):
        raise BrokenPromiseError("the round trip changed the text")
    if any(len(warning.splitlines()) != 1 for warning in netdef.warnings):
        raise BrokenPromiseError("a warning is not one line")
    cost, maps = network_cost(netdef), sum(map(prod, shapes(netdef)))
    scope = Scope(random.choice(TIES), random.choice(((), ("upsample",))))
    trace_groups(netdef, scope)
    find_blocks(netdef)
    _adapt(netdef, random)
    if cost.parameters >= SMALL:
        return "valid, large"
    weights = _weights(netdef, case, folder)
    _cut(netdef, weights, case, scope, check if cost.bflops < _SMALL_WORK and maps < _SMALL_MAPS else None)
    return "valid, cut"


def _adapt(netdef: NetDef, random: Random) -> None:
    """Adapts to other classes: a network whose heads fit, or an error, which says nothing about the cfg."""
    classes = random.choice((1, 3, 91))
    try:
        adapted = adapt_classes(netdef, classes)
    except PruneError:
        return
    shapes(adapted)
    if any(head.classes != classes for head in adapted.heads):
        raise BrokenPromiseError("adapted heads have other classes than asked")


def _weights(netdef: NetDef, case: Case, folder: Path) -> Weights:
    """Weights of the network, read from a file whose bytes may be damaged."""
    path = folder / "case.weights"
    made = random_weights(netdef, np.random.default_rng(case.number))
    write_weights(path, made, netdef)
    if not case.damaged_weights:
        read = read_weights(path, netdef)
        if digest(netdef, read) != digest(netdef, made):
            raise BrokenPromiseError("weights read back differ from those written")
        return read
    path.write_bytes(mutate_weights(path.read_bytes(), case.random))
    read_partial(path, netdef)
    return read_weights(path, netdef)


def _cut(netdef: NetDef, weights: Weights, case: Case, scope: Scope, check: Check | None) -> None:
    """Channels by any policy, then any of the blocks; the results pass the check and re-reading."""
    random = case.random
    chosen_rule: Rule = "threshold" if random.choice(RULES) == "threshold" else "share"
    policy = ChannelPolicy(percent=random.random(), rule=chosen_rule)
    removed = tuple(block.shortcut for block in removable_blocks(netdef) if random.random() < 0.5)
    plans = [PrunePlan(digest(netdef, weights), (), removed)]
    graph = trace_groups(netdef, scope)
    if next(graph.prunable(), None) is not None:
        plans.append(plan_channels(graph, weights, policy))
    for plan in plans:
        parsed = parse_plan(format_plan(plan, graph))
        pruned = apply(netdef, weights, parsed)
        reread = parse_netdef(format_netdef(pruned.netdef), "pruned.cfg")
        if network_cost(reread).parameters != pruned.weights.floats:
            raise BrokenPromiseError("the pruned cfg and its weights do not fit")
        if check is not None:
            check(pruned)
