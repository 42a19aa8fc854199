"""`[yolo]` heads, and cfgs small enough to train in a test."""

from __future__ import annotations

import torch
from torch import Tensor

from prune.darknet.layers import Yolo
from prune.darknet.netdef import NetDef, parse_netdef

ANCHORS = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119"

CONV = """[convolutional]
batch_normalize=1
filters={filters}
size=3
stride={stride}
pad=1
activation=leaky
"""

HEAD = """[convolutional]
size=1
stride=1
filters={filters}
activation={activation}

[yolo]
mask={mask}
anchors={anchors}
classes={classes}
num=6
ignore_thresh=.7
scale_x_y={scale}
new_coords={new_coords}
"""


def two_head_cfg(
    classes: int = 2,
    *,
    masks: tuple[str, str] = ("3,4,5", "0,1,2"),
    new_coords: int = 0,
    scale: float = 1.0,
    size: int = 64,
    anchors: str = ANCHORS,
    second_classes: int | None = None,
) -> str:
    """A network with a head at stride 16 and one at stride 8."""
    activation = "logistic" if new_coords else "linear"
    parts = [f"[net]\nwidth={size}\nheight={size}\nchannels=3\n"]
    parts += [CONV.format(filters=f, stride=2) for f in (8, 16, 32)]
    heads = []
    for mask, count in zip(masks, (classes, second_classes or classes), strict=True):
        filters = len(mask.split(",")) * (5 + count)
        heads.append(
            HEAD.format(
                filters=filters,
                activation=activation,
                mask=mask,
                anchors=anchors,
                classes=count,
                scale=scale,
                new_coords=new_coords,
            )
        )
    parts += [
        CONV.format(filters=32, stride=2),
        heads[0],
        "[route]\nlayers=2\n",
        CONV.format(filters=32, stride=1),
        heads[1],
    ]
    return "\n".join(parts)


def two_heads(classes: int = 2, **options: object) -> NetDef:
    """The same, parsed."""
    return parse_netdef(two_head_cfg(classes, **options))  # type: ignore[arg-type]


def head(**options: object) -> Yolo:
    """The first of those heads."""
    return two_heads(**options).yolo_heads[0]  # type: ignore[arg-type]


def random_raw(heads: tuple[Yolo, ...], batch: int, size: int = 64, seed: int = 0) -> list[Tensor]:
    """Raw head inputs, at strides 16 and 8."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, h.channels, size // stride, size // stride, generator=generator)
        for h, stride in zip(heads, (16, 8), strict=True)
    ]
