"""What the two pruning commands share: the pair they read, the two checks, the files they write, the closing table."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune.cli.command import Command, open_command
from prune.cli.groups import ImageArgs, MaybeDataArgs, NetworkArgs, RunArgs, require
from prune.cli.parser import Parser, add_options, take
from prune.cli.targets import TargetArgs
from prune.darknet.datafile import read_datafile
from prune.darknet.netdef import NetDef, read_netdef, write_netdef
from prune.darknet.records import Weights
from prune.darknet.seen import clear_note
from prune.darknet.shapes import network_size
from prune.darknet.weights import write_weights
from prune.detect.settings import EvaluateSettings
from prune.errors import PlanError
from prune.graph.channels import EVERYTHING, ChannelGraph, trace_groups
from prune.graph.scope import Scope
from prune.metrics.settings import Protocol
from prune.plan.types import PrunePlan, read_plan, write_plan
from prune.report.tables import format_before_after
from prune.samples.channels import check_classes
from prune.samples.issues import Issues
from prune.samples.read import read_samples
from prune.samples.sample import NOTHING_COUNTS, SampleSet
from prune.settings import option

if TYPE_CHECKING:
    from prune.surgery.apply import Pruned
    from prune.trial import Facts, Trial

logger = logging.getLogger(__name__)
CFG, WEIGHTS, PLAN = "pruned.cfg", "pruned.weights", "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanArgs:
    """Where the plan comes from, and what is done with it."""

    plan: Path | None = option(None, "replay this plan.json on the input it was made for", metavar="FILE")
    dry_run: bool = option(False, "show the plan and write nothing")
    ap: Protocol | None = option(
        None, "with --data: protocol of the average precision (default: coco for COCO data, else voc10)"
    )


@dataclass(frozen=True, slots=True)
class Pair:
    """A network as read from its two files, and the images to evaluate it on, if any.

    `faults`: what was skipped in the images, known once something was evaluated.
    """

    netdef: NetDef
    weights: Weights
    samples: SampleSet | None
    settings: EvaluateSettings
    device: str
    faults: Issues = field(default_factory=Issues)

    def trial(self) -> Trial:
        """The trial with which the network and its pruned versions are measured."""
        from prune.trial import Trial  # torch is imported only after the arguments are parsed

        return Trial(self.netdef, self.weights, self.samples, self.settings, self.device)

    def summary(self, facts: Facts) -> dict[str, Any]:
        """The fields of before/after; what was skipped in the images is noted in `faults`."""
        if self.samples is not None and not self.faults:  # the same in every measurement
            self.faults.merge(self.samples.faults)
            self.faults.merge(facts.undecoded)
        return facts.summary()


def pruning_parser(
    description: str,
    example: str,
    policy: type[Any],
    omit: tuple[str, ...] = (),
    defaults: Mapping[str, Any] | None = None,
) -> Parser:
    """A parser with the flags of both pruning commands and those of `policy`, without the fields in `omit`;
    `defaults` replaces those of `policy`."""
    parser = Parser(description, example)
    groups: dict[str, type[Any]] = {
        "network": NetworkArgs,
        "what is removed": policy,
        "what is left": TargetArgs,
        "what can be removed": Scope,
        "plan": PlanArgs,
    }
    for title, group in groups.items():
        add_options(parser, group, title=title, omit=omit, defaults=defaults)
    for title, group in {"measuring": MaybeDataArgs, "images": ImageArgs, "run": RunArgs}.items():
        add_options(parser, group, title=title)
    return parser


def open_pruning(namespace: argparse.Namespace, writes: bool, also: Sequence[Path | None] = ()) -> tuple[Pair, Command]:
    """Read the inputs of a pruning command; `writes`: whether it will write files into --out. `also`: further files
    that it reads."""
    network, data, args = (
        take(namespace, NetworkArgs),
        take(namespace, MaybeDataArgs),
        take(namespace, PlanArgs),
    )
    images, run = take(namespace, ImageArgs), take(namespace, RunArgs)
    require(run.out is not None or not writes, "--out DIR is missing: where should the results go?")
    inputs = [network.cfg, network.weights, data.data, args.plan, *also]
    command = open_command(namespace, run, inputs=inputs, outputs=[CFG, WEIGHTS, PLAN] if writes else [])
    netdef = read_netdef(network.cfg)
    network_size(netdef, images.img_size)  # refuses an unsuitable size before any work
    samples = None if data.data is None else read_samples(read_datafile(data.data), "valid")
    if samples is not None:
        check_classes(netdef, samples)
        if not samples.trainable:
            logger.warning("%s: %s", data.data, NOTHING_COUNTS)

    from prune.model.files import read_exact  # torch is imported only after the arguments are parsed

    settings = EvaluateSettings(
        ap=args.ap,
        img_size=images.img_size,
        letterbox=images.letterbox,
        batch_size=images.batch_size,
        workers=run.workers or 0,
        progress=not run.quiet,
    )
    return Pair(netdef, read_exact(network.weights, netdef), samples, settings, run.device), command


def chosen_plan(
    namespace: argparse.Namespace, pair: Pair, graph: ChannelGraph, kind: str, make: Callable[[], PrunePlan]
) -> PrunePlan:
    """The plan of --plan, or a new one.

    `kind`: "channels" or "layers". Raises PlanError if the stored one was made for another pair, is of another
    kind, or prunes what the scope of `graph` keeps.
    """
    args = take(namespace, PlanArgs)
    if args.plan is None:
        return make()
    plan = read_plan(args.plan)
    if plan.policy.get("kind", kind) != kind:
        other = {"channels": "prune_layer.py", "layers": "prune_channel.py"}[kind]
        raise PlanError(f"{args.plan}: is a plan for {plan.policy['kind']}: replay it with {other} --plan")
    plan.check_source(pair.netdef, pair.weights)
    stored = plan.scope or EVERYTHING
    plan.validate(trace_groups(pair.netdef, replace(stored, keep=(*stored.keep, *graph.scope.keep))))
    return plan


def close_pruning(pair: Pair, pruned: Pruned, plan: PrunePlan, command: Command, facts: dict[str, Any]) -> None:
    """Runs both checks, then writes the pruned pair, the plan and the summary, and shows before and after.

    The summary has the deviation of the equivalence check under the key `gate`.
    """
    from prune.verify.absorption import check_absorption
    from prune.verify.equivalence import check_equivalence

    deviation, absorption = check_equivalence(pruned), check_absorption(pruned)
    trial = pair.trial()
    before, after = map(pair.summary, (trial.original(), trial.measure(pruned.netdef, pruned.weights)))
    command.begin_writing()
    write_netdef(command.path(CFG), pruned.netdef)
    write_weights(command.path(WEIGHTS), pruned.weights, pruned.netdef)
    noted = replace(plan, notes=pruned.notes)
    write_plan(command.path(PLAN), noted, pruned.masked.graph)
    checks = {"gate": deviation, "absorption": absorption, "notes": list(pruned.notes)}
    command.finish(facts | checks | {"before": before, "after": after})
    command.echo(format_before_after(before, after))
    command.echo(
        f"equivalence check passed: the pruned network equals the masked original to {deviation:.0e} at its heads"
    )
    except_for = " (except what the notes name)" if pruned.notes else ""
    command.echo(
        f"absorption checked: with γ = 0 where it was cut, the original computes the same in every layer{except_for}"
    )
    for note in (*pruned.notes, clear_note(pruned.netdef, pruned.weights.header.seen)):
        if note:
            command.echo(f"note: {note}")
    pair.faults.log()
