"""Parity of a pair with a second opinion: OpenCV's Darknet reader, else the plain numpy reference of the tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.opencv_parity import UnreadError, our_outputs, parity, relative
from benchmarks.zoo_row import PARITY
from prune.darknet.netdef import NetDef
from prune.darknet.records import ConvParams, Weights
from prune.darknet.weights import random_weights
from tests.torch import reference


@dataclass(frozen=True, slots=True)
class Opinion:
    """max|a − b| / max|b| over the heads; `instead`: why the reference was used instead of OpenCV, or empty.
    `note`: the known deviations of OpenCV for this cfg.
    """

    deviation: float
    instead: str = ""
    note: str = ""


def second_opinion(netdef: NetDef, weights: Weights) -> Opinion:
    """Compares head inputs, boxes and scores with OpenCV's from its own files.

    Compares head inputs with the reference where OpenCV does not read such a cfg or is known to deviate.
    """
    with TemporaryDirectory() as folder:
        try:
            result = parity(netdef, weights, Path(folder))
        except UnreadError as error:
            return Opinion(_from_reference(netdef, weights), f"OpenCV: {error}")
    if result.worst > PARITY and result.note:
        return Opinion(_from_reference(netdef, weights), result.note)
    return Opinion(result.worst, note=result.note)


def _from_reference(netdef: NetDef, weights: Weights) -> float:
    net = netdef.net
    image = np.random.default_rng(0).random((1, net.channels, net.height, net.width), np.float32)
    ours = our_outputs(netdef, weights, image)
    theirs = reference.forward(netdef, weights, image[0].astype(np.float64))
    pairs = zip(netdef.heads, ours, strict=True)
    return max(relative(output.raw, theirs[head.index].astype(np.float32)) for head, output in pairs)


def tame_weights(netdef: NetDef, seed: int) -> Weights:
    """Random float32 weights with |γ| of 0.5 ± 0.2 and either sign, so that rounding is not amplified."""
    rng = np.random.default_rng(seed)
    weights = random_weights(netdef, rng)

    def tamed(record: ConvParams) -> ConvParams:
        weight = record.weight * np.float32(0.7)
        if record.gamma is None:
            return replace(record, weight=weight)
        sign = np.where(rng.random(len(record.gamma)) < 0.5, np.float32(-1), np.float32(1))
        return replace(record, weight=weight, gamma=sign * (np.float32(0.3) + np.float32(0.2) * record.gamma))

    records = {index: tamed(r) if isinstance(r, ConvParams) else r for index, r in weights.records.items()}
    return Weights(weights.header, records)
