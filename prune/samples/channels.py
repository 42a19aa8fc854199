"""Whether a network fits a dataset: the images it reads, RGB or grayscale, and its classes."""

from __future__ import annotations

from prune.darknet.netdef import NetDef
from prune.errors import CfgError, UsageError
from prune.samples.images import READ_FLAGS
from prune.samples.sample import SampleSet


def check_channels(netdef: NetDef) -> None:
    """Raise CfgError unless images can be read for the network: 3 channels (RGB) or 1 (grayscale)."""
    channels = netdef.net.channels
    if channels not in READ_FLAGS:
        line = netdef.net.section.options["channels"].number  # without the key it would be 3
        problem = f"channels={channels}, but images are read with 3 channels (RGB) or 1 (grayscale)"
        raise CfgError(netdef.path, line, f"{problem}; set one of these and train the network with it")


def check_classes(netdef: NetDef, samples: SampleSet) -> None:
    """Raise CfgError unless images can be read for the network, UsageError unless it has the data's classes."""
    check_channels(netdef)
    known = max((head.classes for head in netdef.heads), default=0)
    if known != len(samples.names):
        raise UsageError(
            f"{netdef.path} has {known} classes and the data {len(samples.names)}: "
            "adapt the cfg with python -m prune.adapt, or use the data that it was made for"
        )
