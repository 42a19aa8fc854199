"""The data and the cfg of a run, checked against each other."""

from __future__ import annotations

import logging

from prune.darknet.datafile import read_datafile
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import largest_stride, network_size
from prune.detect.channels import check_channels
from prune.detect.sample import SampleSet
from prune.detect.samples import read_samples
from prune.errors import UsageError
from prune.train.job import Job
from prune.train.sizes import rectangular_size

logger = logging.getLogger(__name__)


def read_sets(job: Job) -> tuple[SampleSet, SampleSet | None]:
    """The train split, and the valid split where the data file names one."""
    datafile = read_datafile(job.data)
    valid = read_samples(datafile, "valid") if datafile.valid else None
    if valid is None:
        logger.warning("%s names no valid images: nothing is measured, the last epoch counts as the best", job.data)
    return read_samples(datafile, "train"), valid


def trained_netdef(netdef: NetDef, job: Job, samples: SampleSet) -> NetDef:
    """The cfg with the input size and the fit that the network is trained for."""
    width, height = network_size(netdef, job.img_size)
    if job.train.rect:
        width, height = rectangular_size((width, height), samples.samples, largest_stride(netdef))
    options = {"width": width, "height": height, "letter_box": int(job.letterbox)}
    for key, value in options.items():
        netdef = netdef.with_net_option(key, str(value))
    return netdef


def check_classes(netdef: NetDef, samples: SampleSet) -> None:
    """Raise CfgError unless images can be read for the network, UsageError unless there is a head and every head has
    the data's classes."""
    check_channels(netdef)
    if not netdef.heads:
        raise UsageError(f"{netdef.path}: has no detection head to train")
    for head in netdef.heads:
        if head.classes != len(samples.names):
            raise UsageError(
                f"{netdef.path}: [{head.kind}] (layer {head.index}) has {head.classes} classes, the data "
                f"{len(samples.names)}: python -m prune.adapt rewrites the cfg"
            )
