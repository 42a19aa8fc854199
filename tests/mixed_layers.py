"""A network with every kind of layer that has floats in the weights file."""

from __future__ import annotations

NET = "[net]\nwidth=4\nheight=2\nchannels=2\n"
CONV = "[convolutional]\nfilters=3\nactivation=linear\n"
CONNECTED = "[connected]\noutput=2\nbatch_normalize=1\nactivation=linear\n"
MIXED = (
    NET
    + CONV
    + "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nflipped=1\nactivation=leaky\n"
    + "[shortcut]\nfrom=-2\nweights_type=per_channel\nweights_normalization=relu\n"
    + CONNECTED
)
