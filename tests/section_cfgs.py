"""A small network for every kind of layer, and for every option that changes what it computes."""

from __future__ import annotations

import numpy as np

from prune.darknet.netdef import NetDef, parse_netdef
from prune.darknet.records import Weights
from prune.darknet.weights import random_weights

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"


def conv(filters: int, size: int = 1, activation: str = "linear", **options: int) -> str:
    """A convolution with batch norm."""
    given = {"batch_normalize": 1, "filters": filters, "size": size, "stride": 1, "pad": 1} | options
    return "[convolutional]\n" + "".join(f"{k}={v}\n" for k, v in given.items()) + f"activation={activation}\n"


SECTIONS = {
    "convolution of groups, two strides and dilation": conv(4)
    + conv(6, 3, "leaky", groups=2, stride_x=2, stride_y=1, dilation=2),
    "convolution without batch norm, padding by number": conv(2, 3, batch_normalize=0, pad=0, padding=2),
    "flipped convolution": conv(4, 3, flipped=1),
    "shared convolution": conv(3, 3, "mish") + conv(3, 3, "leaky", share_index=0, stride=2),
    "connected": conv(4) + "[connected]\noutput=5\nactivation=leaky\n",
    "connected with batch norm behind another": "[connected]\noutput=6\nbatch_normalize=1\nactivation=relu\n"
    "[connected]\noutput=4\nactivation=linear\n",
    "shortcut of three": conv(4) + conv(4) + conv(4) + "[shortcut]\nfrom=-2,-3\nactivation=leaky\n",
    "shortcut of unequal widths": conv(2) + conv(6) + conv(4) + "[shortcut]\nfrom=-2,-3\nactivation=linear\n",
    "old reorg": conv(8) + "[reorg]\nstride=2\n",
    "old reorg back": conv(8) + "[reorg]\nstride=2\nreverse=1\n",
    "reorg3d": conv(3) + "[reorg3d]\nstride=2\n",
    "maxpool": conv(2) + "[maxpool]\nsize=3\nstride=2\n",
    "maxpool of two strides": conv(2) + "[maxpool]\nsize=3\nstride_x=1\nstride_y=2\npadding=4\n",
    "maxpool over channels": conv(7) + "[maxpool]\nmaxpool_depth=1\nout_channels=3\nsize=1\nstride=1\n",
    "local avgpool": conv(2) + "[local_avgpool]\nsize=3\nstride=2\n",
    "local avgpool of two strides": conv(2) + "[local_avgpool]\nsize=4\nstride_x=1\nstride_y=3\npadding=2\n",
    "avgpool": conv(2) + "[avgpool]\n",
    "upsample times a factor": conv(2) + "[upsample]\nstride=2\nscale=0.5\n",
    "route of a group": conv(6) + conv(4) + "[route]\nlayers=-1,-2\ngroups=2\ngroup_id=1\n",
    "squeeze and excitation": conv(3)
    + "[avgpool]\n"
    + conv(3, 1, "logistic")
    + "[scale_channels]\nfrom=0\nactivation=linear\n",
    "gate by pixel": conv(3) + conv(1, 3, "logistic") + "[scale_channels]\nfrom=0\nscale_wh=1\nactivation=linear\n",
    "sam": conv(3) + conv(3, 1, "logistic") + "[sam]\nfrom=-2\nactivation=linear\n",
    "softmax": "[connected]\noutput=6\nactivation=linear\n[softmax]\ngroups=2\ntemperature=0.5\n",
    "dropout": conv(2) + "[dropout]\nprobability=.5\n",
} | {
    f"weighted shortcut {kind}, {normal}": conv(2)
    + conv(6)
    + conv(4)
    + f"[shortcut]\nfrom=-2,-3\nweights_type={kind}\nweights_normalization={normal}\nactivation=leaky\n"
    for kind in ("per_feature", "per_channel")
    for normal in ("none", "relu", "softmax")
}


def network(text: str) -> tuple[NetDef, Weights]:
    """With random weights; those of shortcuts are negative here and there."""
    netdef = parse_netdef(NET + text)
    weights = random_weights(netdef, np.random.default_rng(0))
    for record in weights.records.values():
        if not hasattr(record, "gamma"):
            record.arrays()[0].flat[0] -= 1.5
    return netdef, weights
