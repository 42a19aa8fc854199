"""The check of a rescaling: two sets of weights of one cfg must compute the same."""

from __future__ import annotations

from prune.darknet.netdef import NetDef
from prune.darknet.records import Weights
from prune.errors import VerificationError
from prune.verify.passes import WeightsDomain, outputs, random_image, relative_deviation

TOLERANCE = 1e-9
"""Of the largest value of an output, for float64 weights."""
ROUNDING = 2.0**-24
"""What float32 rounds off each float, relative to it; a layer of them deviates by about as much."""


def check_rescaling(
    netdef: NetDef, before: Weights, after: Weights, allowed: float = TOLERANCE, seed: int = 0
) -> float:
    """The largest deviation at any output, relative to its largest value, on one random image in float64.

    Raises VerificationError where it exceeds `allowed`.
    """
    imgs = random_image(netdef, seed)
    first, second = (outputs(netdef, WeightsDomain(imgs, weights)) for weights in (before, after))
    worst = 0.0
    for index, value in first.items():
        deviation = relative_deviation(second[index], value)
        if not deviation <= allowed:
            raise VerificationError(
                f"{netdef.path}: with rescaled γ layer {index} deviates by {deviation:.1e} of its largest value "
                f"(allowed {allowed:.0e}); please report this cfg"
            )
        worst = max(worst, deviation)
    return worst
