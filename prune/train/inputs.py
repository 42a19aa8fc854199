"""The data and the cfg of a run, checked against each other."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from prune.darknet.datafile import read_datafile
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import largest_stride, network_size
from prune.errors import DataError, UsageError
from prune.samples.channels import check_channels
from prune.samples.issues import Issues
from prune.samples.read import read_samples
from prune.samples.sample import NOTHING_COUNTS, SampleSet
from prune.train.job import Job
from prune.train.sizes import rectangular_size

logger = logging.getLogger(__name__)


def read_sets(job: Job) -> tuple[SampleSet, SampleSet | None]:
    """The train split, and the valid split if the data file names one. Raises DataError if no training image has an
    object to learn."""
    datafile = read_datafile(job.data)
    valid = read_samples(datafile, "valid") if datafile.valid else None
    train = read_samples(datafile, "train")
    if not train.trainable:
        raise DataError(datafile.require("train"), None, _nothing_to_learn(train))
    if valid is None:
        logger.warning("%s names no valid images: nothing is evaluated, the last epoch is taken as the best", job.data)
    elif not valid.trainable:
        logger.warning("%s: %s", datafile.require("valid"), NOTHING_COUNTS)
    return train, valid


def _nothing_to_learn(train: SampleSet) -> str:
    """The error message, with what was skipped or excluded as a possible reason."""
    kinds = {"difficult": [s.difficult.sum() for s in train.samples], "crowd": [s.crowd.sum() for s in train.samples]}
    left_out = [f"{sum(map(int, counts))} {kind} objects are not trained on" for kind, counts in kinds.items()]
    why = [text for text in left_out if not text.startswith("0 ")] + list(train.faults.lines())
    check = "check its labels" + (f" ({'; '.join(why)})" if why else "")
    return f"no training image has an object to learn; {check}"


def report_faults(found: Mapping[str, Issues], level: int = logging.WARNING) -> None:
    """Log what was skipped, one line per kind, with the splits that have it: `train and valid: 2 × …`."""
    splits: dict[str, list[str]] = {}
    for split, faults in found.items():
        for line in faults.lines():
            splits.setdefault(line, []).append(split)
    for line, names in splits.items():
        logger.log(level, "%s: %s", " and ".join(names), line)


def trained_netdef(netdef: NetDef, job: Job, samples: SampleSet) -> NetDef:
    """The cfg with the input size and resizing that the network is trained for."""
    width, height = network_size(netdef, job.img_size)
    if job.train.rect:
        width, height = rectangular_size((width, height), samples.samples, largest_stride(netdef))
    options = {"width": width, "height": height, "letter_box": int(job.letterbox)}
    for key, value in options.items():
        netdef = netdef.with_net_option(key, str(value))
    return netdef


def check_classes(netdef: NetDef, samples: SampleSet) -> None:
    """Raise CfgError unless images can be read for the network, UsageError unless there is a head and the class counts
    of all heads equal the data's."""
    check_channels(netdef)
    if not netdef.heads:
        raise UsageError(f"{netdef.path}: has no detection head to train")
    for head in netdef.heads:
        if head.classes != len(samples.names):
            raise UsageError(
                f"{netdef.path}: [{head.kind}] (layer {head.index}) has {head.classes} classes, the data "
                f"{len(samples.names)}: adapt the cfg with python -m prune.adapt"
            )
