"""Which images a network reads: RGB or grayscale."""

from __future__ import annotations

from prune.darknet.netdef import NetDef
from prune.errors import CfgError
from prune.samples.images import READ_FLAGS


def check_channels(netdef: NetDef) -> None:
    """Raise CfgError unless images can be read for the network: 3 channels (RGB) or 1 (grayscale)."""
    channels = netdef.net.channels
    if channels not in READ_FLAGS:
        line = netdef.net.section.options["channels"].number  # without the key it would be 3
        told = f"channels={channels}, but images are read with 3 channels (RGB) or 1 (grayscale)"
        raise CfgError(netdef.path, line, f"{told}; set one of these and train the network with it")
