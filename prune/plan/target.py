"""Targets: how much of a network is to be left, in parameters, BFLOPs or megabytes. Solved on the plan alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prune.errors import TargetError
from prune.graph.channels import ChannelGraph
from prune.plan.amount import Amount, parse_amount, parse_measured
from prune.plan.budget import Blocks, Budget, ByteBudget, Kept, OperationBudget, ParameterBudget, all_kept

TOLERANCE = 0.02
"""By how much less than a target may be left, as a fraction of it."""
Size = tuple[int, int] | None
"""Width and height of the input in pixels; None: as in the cfg."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a target is about.

    flag: how a user gives it, parse: text → amount. name: what is counted, as tables show it. unit: how many of the
    budget's units are one of these. form: the format of a number of them. budget: counts them at an input size.
    """

    flag: str
    parse: Callable[[str], Amount]
    name: str
    unit: float
    form: str
    budget: Callable[[Size], Budget]

    def text(self, cost: float) -> str:
        """A cost of the budget, with its name: `861,421 parameters`."""
        return f"{self.number(cost)} {self.name}"

    def number(self, cost: float) -> str:
        """A cost of the budget, in this measure."""
        return format(cost / self.unit, self.form)


def _operations(size: Size) -> Budget:
    return OperationBudget(*(size or (None, None)))


MEASURES: Mapping[str, Measure] = {
    "params": Measure("--target-params", parse_amount, "parameters", 1, ",.0f", lambda size: ParameterBudget()),
    "bflops": Measure("--target-bflops", parse_measured, "BFLOPs", 1e9, ",.4f", _operations),
    "mb": Measure("--target-mb", parse_measured, "MB", 1e6, ",.3f", lambda size: ByteBudget()),
}
"""By the name that plans record. Another measure is another row, and a field of the same name, target_…, of the options
of a command."""


def given_amounts(settings: object) -> dict[str, Amount]:
    """The amounts in the fields target_… of some settings, by the name of the measure."""
    given = {name: getattr(settings, f"target_{name}", None) for name in MEASURES}
    return {name: amount for name, amount in given.items() if amount is not None}


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a network: its channels, kept (ids,) bool, without the layers of `blocks`."""

    kept: Kept
    blocks: Blocks = ()


@dataclass(frozen=True, slots=True)
class Target:
    """An asked amount of one measure of a network. whole, wanted: what it has and what is to be left at most, in units
    of `budget`."""

    measure: Measure
    amount: Amount
    budget: Budget
    whole: float
    wanted: float

    def __str__(self) -> str:
        same = f" ({self.measure.text(self.wanted)})" if self.amount.relative else ""
        return f"{self.measure.flag} {self.amount}{same}"


@dataclass(frozen=True, slots=True)
class Targets:
    """All that were asked for, by the name of their measure, at least one: each of them must be met."""

    graph: ChannelGraph
    asked: Mapping[str, Target]

    def cost(self, target: Target, left: Left) -> float:
        """What is left of the measure of a target, in units of its budget."""
        return target.budget.cost(self.graph, left.kept, left.blocks)

    def share(self, target: Target, left: Left) -> float:
        """What is left of the measure of a target, as a fraction of what may be left."""
        return self.cost(target, left) / target.wanted if target.wanted else 1.0

    def fill(self, left: Left) -> float:
        """What is left, as a fraction of what may be left, of the target that is hardest to meet: met up to 1."""
        return max(self.share(target, left) for target in self.asked.values())

    def hardest(self, left: Left) -> Target:
        """The target that is hardest to meet."""
        return max(self.asked.values(), key=lambda target: self.share(target, left))

    def facts(self) -> dict[str, str]:
        """What a plan records: the amounts, in a form that can be parsed."""
        return {name: target.amount.exact() for name, target in self.asked.items()}

    def check_reachable(self, least: Left, most: Left) -> None:
        """Raises TargetError, naming what is reachable, where the least is more than a target, or the most is less than
        all of them by more than the tolerance."""
        if self.fill(least) > 1:
            raise self.unreachable(self.hardest(least), least, most)
        if self.fill(most) < 1 - TOLERANCE:
            raise self.unreachable(self.hardest(most), least, most)

    def unreachable(self, target: Target, least: Left, most: Left) -> TargetError:
        """The error that names a target and what is reachable instead."""
        low, high = (self.cost(target, left) for left in (least, most))
        shares = f"{low / target.whole:.4g}x to {high / target.whole:.4g}x"
        reach = f"{target.measure.number(low)} to {target.measure.text(high)} ({shares})"
        return TargetError(f"{target}: {reach} of {self.graph.netdef.path} can be kept with these flags")

    def check_met(self, left: Left) -> None:
        """Raises TargetError where less is left than the tolerance allows."""
        if self.fill(left) >= 1 - TOLERANCE:
            return
        target = self.hardest(left)
        nearest = f"{target.measure.text(self.cost(target, left))} ({self.share(target, left) - 1:+.1%})"
        raise TargetError(f"{target}: widths can only change in larger steps; the nearest below it is {nearest}")


def settle_targets(graph: ChannelGraph, amounts: Mapping[str, Amount], size: Size = None) -> Targets:
    """The targets of a network from the amounts by the name of their measure; `size` of the input for BFLOPs."""
    return Targets(graph, {name: _settled(graph, MEASURES[name], amount, size) for name, amount in amounts.items()})


def _settled(graph: ChannelGraph, measure: Measure, amount: Amount, size: Size) -> Target:
    budget = measure.budget(size)
    whole = budget.cost(graph, all_kept(graph))
    return Target(measure, amount, budget, whole, amount.of(whole) if amount.relative else amount.value * measure.unit)


@dataclass(frozen=True, slots=True)
class Reach:
    """What a measure has at the least, at the most, and unpruned, in units of its budget."""

    measure: Measure
    least: float
    most: float
    whole: float


def find_reach(graph: ChannelGraph, least: Left, most: Left, size: Size = None) -> list[Reach]:
    """The reach of every measure; `size` of the input for BFLOPs."""
    found = list[Reach]()
    for measure in MEASURES.values():
        budget = measure.budget(size)
        low, high, whole = (budget.cost(graph, left.kept, left.blocks) for left in (least, most, Left(all_kept(graph))))
        found.append(Reach(measure, low, high, whole))
    return found
