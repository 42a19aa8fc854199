"""Objects on the grids of two heads, for the tests of the losses."""

from __future__ import annotations

import torch
from torch import Tensor

from prune.darknet.netdef import NetDef
from prune.detect.assign import assign
from tests.torch.heads import two_heads

SIZE = (64, 64)
GRIDS = [(4, 4), (8, 8)]
TARGETS = torch.tensor(
    [
        [0, 0, 0.3, 0.3, 0.9, 1.7],  # 58×109 pixels: anchor 5
        [0, 1, 0.7, 0.6, 0.16, 0.2],  # 10×13: anchor 0
        [2, 1, 0.999, 0.0, 0.5, 0.4],  # 32×26: anchor 2
    ]
)


def places(
    head_index: int, targets: Tensor, netdef: NetDef | None = None, match_iou: float | None = 1.0
) -> list[tuple[int, ...]]:
    heads = (netdef or two_heads()).heads
    found = assign(targets, heads, GRIDS, SIZE, match_iou)[head_index]
    return [tuple(int(v) for v in row) for row in torch.stack((*found.place, found.classes), 1)]


KINDS = ["region", "region without softmax", "Gaussian_yolo"]
