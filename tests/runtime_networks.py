"""Small networks with files, for tests of runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prune.darknet.netdef import parse_netdef, write_netdef
from prune.darknet.weights import write_weights
from prune.runtimes.prepare import Given, InputSetting, Prepared, prepare
from tests.strategies import as_float32, tame_weights

_CBL = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\nstride={}\npad=1\nactivation=leaky\n"
_HEAD = "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n[yolo]\nmask={}\n"
_HEAD += "anchors=3,4, 5,6, 9,8, 12,14\nclasses=2\nnum=4\n"
UNREADABLE = "[local_avgpool]\nsize=2\nstride=2\n"
"""A layer that OpenCV does not read."""


def two_headed(filters: int, extra: str = "") -> str:
    """A cfg for images of 32 × 32 pixels with heads of strides 4 and 8; `extra`: further layers before the first."""
    stem = _CBL.format(filters, 2) + _CBL.format(filters, 2) + extra
    return f"[net]\nwidth=32\nheight=32\nchannels=3\n{stem}{_HEAD.format('0,1')}[route]\nlayers=-3\n" + (
        _CBL.format(filters, 2) + _HEAD.format("2,3")
    )


def write_pair(folder: Path, name: str, text: str) -> tuple[Path, Path]:
    """Cfg and random weights in float32, as files."""
    netdef = parse_netdef(text)
    cfg, weights = folder / f"{name}.cfg", folder / f"{name}.weights"
    write_netdef(cfg, netdef)
    write_weights(weights, as_float32(tame_weights(netdef, 0)), netdef)
    return cfg, weights


def prepared(folder: Path, text: str, export: bool = False, batch: int = 1) -> Prepared:
    """The network as a benchmark prepares it."""
    cfg, weights = write_pair(folder, "net", text)
    return prepare(Given("net", cfg, weights), InputSetting(None, batch, 0), folder / "prepared", export)


def pixels(network: Prepared) -> NDArray[np.float32]:
    """The input that is measured with."""
    imgs: NDArray[np.float32] = np.load(network.imgs)
    return imgs
