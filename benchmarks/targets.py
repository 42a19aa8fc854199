"""How exactly targets are met: asked, reached and the difference, with any width and with multiples of 8.

γ of real weights where the shared data has them (yolo-fastest-1.1), else drawn at random, half-normal. Nothing is
written: targets are solved on the plan alone.
Run: python -m benchmarks.targets [NAME …]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from benchmarks.places import ROOT, SHARED, require
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from prune.errors import TargetError
from prune.graph.channels import ChannelGraph, trace_groups
from prune.plan.fit import extremes, fit_channels
from prune.plan.ranked import rank_channels
from prune.plan.score import Scores, gammas
from prune.plan.target import MEASURES, Left, settle_targets
from prune.plan.widths import Widths
from prune.report.tables import format_table

NETWORKS: Mapping[str, Path] = {
    "yolov3-tiny": ROOT / "cfg" / "yolov3-tiny.cfg",
    "yolov3-nano": ROOT / "cfg" / "yolov3-nano.cfg",
    "yolov4-tiny": SHARED / "cfg-zoo" / "yolov4-tiny.cfg",
    "yolo-fastest-1.1": SHARED / "weights" / "yolo-fastest-1.1.cfg",
    "yolov3": ROOT / "cfg" / "yolov3.cfg",
}
ASKED = {"params": "0.1x", "bflops": "0.25x"}
COLUMNS = ("network", "target", "multiple of", "asked", "reached", "difference", "CPU seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", default=list(NETWORKS), choices=list(NETWORKS), metavar="NAME")
    parser.add_argument("--multiple-of", type=int, default=8, metavar="N", help="the second width (default: 8)")
    args = parser.parse_args()
    require(*(NETWORKS[name] for name in args.names))
    rows = [row for name in args.names for row in measured(name, (1, args.multiple_of))]
    print(format_table(COLUMNS, rows))


def measured(name: str, multiples: tuple[int, ...]) -> Iterator[list[object]]:
    """A row per target and width of one network."""
    graph = trace_groups(read_netdef(NETWORKS[name]))
    values = importance(graph, NETWORKS[name].with_suffix(".weights"))
    for measure, amount in ASKED.items():
        for multiple in multiples:
            yield [name, f"{MEASURES[measure].flag} {amount}", multiple, *solved(graph, values, measure, multiple)]


def importance(graph: ChannelGraph, weights: Path) -> Scores:
    """|γ| per channel id, of the file if there is one."""
    if weights.is_file():
        return gammas(graph, read_weights(weights, graph.netdef))
    return np.abs(np.random.default_rng(0).standard_normal(graph.trace.total))


def solved(graph: ChannelGraph, values: Scores, name: str, multiple: int) -> list[object]:
    """What is asked and reached, in the measure of the target, and the seconds that took."""
    start = time.process_time()
    measure = MEASURES[name]
    targets = settle_targets(graph, {name: measure.parse(ASKED[name])})
    target = targets.asked[name]
    ranked = rank_channels(graph, values, Widths(multiple_of=multiple))
    try:
        targets.check_reachable(*extremes(ranked))
    except TargetError as error:
        return [measure.number(target.wanted), None, str(error), round(time.process_time() - start, 2)]
    cost = targets.cost(target, Left(ranked.kept(fit_channels(ranked, targets))))
    difference = f"{cost / target.wanted - 1:+.2%}"
    return [measure.number(target.wanted), measure.number(cost), difference, round(time.process_time() - start, 2)]


if __name__ == "__main__":
    main()
