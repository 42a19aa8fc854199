"""The loss of a network with detection heads, as the training loop calls it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from prune.darknet.layers import Head
from prune.detect.loss import LossParts, YoloLoss
from prune.detect.settings import LossSettings
from prune.train.hooks import Batch
from prune.train.update import Criterion


def detection_criterion(heads: Sequence[Head], settings: LossSettings, size_wh: tuple[int, int]) -> Criterion:
    """The loss of the inputs of `heads` on a batch; `size_wh`: the network's input in pixels."""
    loss = YoloLoss(heads, settings, size_wh)

    def criterion(raw: list[Tensor], batch: Batch) -> LossParts:
        return loss(raw, batch.targets, batch.size_wh)

    return criterion
