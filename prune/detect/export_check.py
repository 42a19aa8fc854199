"""An exported file and the network it was made from: onnxruntime must compute with it what the network computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prune.detect.decode import decode
from prune.errors import FileError, VerificationError
from prune.export.build import output_layers
from prune.export.runtime import run_exported
from prune.export.source import Source
from prune.verify.passes import WeightsDomain, outputs, relative_deviation

TOLERANCE = 1e-4
"""Relative to the largest value of an output."""
_IMAGES = 2
"""How many are run where the file takes any number."""


def check_exported(path: Path, source: Source) -> float:
    """The largest deviation of the file's outputs from the network's on random images, relative to the largest value.

    Raises VerificationError where it exceeds TOLERANCE, or onnxruntime cannot run the file.
    """
    width, height = source.size
    shape = (source.settings.fixed_batch or _IMAGES, source.netdef.net.channels, height, width)
    imgs = np.random.default_rng(0).random(shape, np.float32)
    expected = expected_outputs(source, torch.from_numpy(imgs))
    try:
        found = map(torch.from_numpy, run_exported(path, imgs))
    except FileError as cause:
        raise VerificationError(f"{source.netdef.path}: {cause.message}; nothing was written") from cause
    worst = max(relative_deviation(a, b) for a, b in zip(found, expected, strict=True))
    if not worst <= TOLERANCE:
        message = f"what onnxruntime computes deviates by {worst:.1e} of the largest value, more than {TOLERANCE:g}"
        raise VerificationError(f"{source.netdef.path}: {message}; nothing was written")
    return worst


def expected_outputs(source: Source, imgs: Tensor) -> list[Tensor]:
    """What the file must compute for imgs (B, C, H, W): the raw maps of `output_layers`, or all boxes decoded."""
    netdef, found = source.netdef, outputs(source.netdef, WeightsDomain(imgs, source.weights))
    raw = [found[layer.index] for layer in output_layers(netdef)]
    return [decode(raw, netdef.heads, source.size)] if source.settings.decode else raw
