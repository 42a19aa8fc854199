"""Measuring candidates: a network's cost and metrics before and after a plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from prune.darknet.netdef import NetDef
from prune.darknet.records import Weights
from prune.detect.evaluate import examine
from prune.detect.settings import EvaluateSettings
from prune.graph.cost import Cost, network_cost
from prune.metrics.result import Metrics
from prune.model.files import network_of
from prune.plan.types import PrunePlan
from prune.samples.issues import Issues
from prune.samples.sample import SampleSet
from prune.surgery.apply import apply


@dataclass(frozen=True, slots=True)
class Facts:
    """The measurements of a network. `metrics`: None without images; `undecoded`: images that could not be decoded."""

    cost: Cost
    metrics: Metrics | None = None
    undecoded: Issues = field(default_factory=Issues)

    def summary(self) -> dict[str, Any]:
        """The fields of `before` and `after` in summary.json."""
        return asdict(self.cost) | (self.metrics.summary() if self.metrics is not None else {})


@dataclass(frozen=True, slots=True)
class Trial:
    """A network, and the images and settings with which it and every candidate pruned from it are measured.

    `samples`: None measures the cost only. `device`: auto, cpu, cuda or cuda:N.
    """

    network: NetDef
    weights: Weights
    samples: SampleSet | None
    settings: EvaluateSettings
    device: str = "auto"

    def original(self) -> Facts:
        """Measure the unpruned network. Raises the errors of `measure`."""
        return self.measure(self.network, self.weights)

    def score(self, plan: PrunePlan) -> Facts:
        """Measure the network pruned by `plan`; it is not checked or written. Raises PlanError if the plan was made for
        another network or does not fit, and the errors of `measure`."""
        pruned = apply(self.network, self.weights, plan)
        return self.measure(pruned.netdef, pruned.weights)

    def measure(self, netdef: NetDef, weights: Weights) -> Facts:
        """Measure an existing candidate.

        Raises UsageError if the network and the images have different classes or the network cannot take the input
        size, DataError if no image can be decoded.
        """
        net = self.network.net
        cost = network_cost(netdef, *(self.settings.img_size or (net.width, net.height)))
        if self.samples is None:
            return Facts(cost)
        metrics, _, undecoded = examine(network_of(netdef, weights, self.device), self.samples, self.settings)
        return Facts(cost, metrics, undecoded)
