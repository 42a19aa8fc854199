"""Equal γ for the network of a training session, verified before the first step."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import numpy as np

from prune.darknet.records import ConvParams, Floats, Weights
from prune.errors import UsageError
from prune.graph.channels import ChannelGraph
from prune.model.state import load_weights, to_weights
from prune.surgery.equalize import equalize
from prune.verify.rescaling import check_rescaling

if TYPE_CHECKING:
    from prune.train.session import Session

logger = logging.getLogger(__name__)


def equalize_session(session: Session, graph: ChannelGraph, required: bool = False) -> None:
    """Rescale the channels of the session's network so that their γ are of one size, and report which are not.

    Raises VerificationError where the network would compute something else, before anything of it is changed, and
    UsageError where it is `required` and not possible in any layer.
    """
    before = _widened(to_weights(session.model))
    equalized = equalize(graph, before)
    if required and len(equalized.left) == len(graph.prunable_layers):
        index, reason = next(iter(equalized.left.items()))
        raise UsageError(
            f"{session.netdef.path}: --equalize: the gammas of no layer can be made equal (layer {index}: {reason}); "
            "pass --no-equalize"
        )
    deviation = check_rescaling(session.netdef, before, equalized.weights)
    load_weights(session.model, equalized.weights)
    count = len(graph.prunable_layers) - len(equalized.left)
    logger.info("gammas made equal in %d layers; the network computes the same (to %.0e, float64)", count, deviation)
    reasons: dict[str, list[int]] = {}
    for index, reason in equalized.left.items():
        reasons.setdefault(reason, []).append(index)
    for reason, layers in reasons.items():
        logger.info("gammas keep their size in layers %s: %s", ", ".join(map(str, layers)), reason)


def _widened(weights: Weights) -> Weights:
    """The same floats as float64."""

    def wide(array: Floats) -> Floats:
        return cast(Floats, array.astype(np.float64))

    records = dict(weights.records)
    for index, record in weights.records.items():
        if isinstance(record, ConvParams):
            bias, *normal, weight = map(wide, record.arrays())
            records[index] = ConvParams(weight, bias, *normal)
    return Weights(weights.header, records)
