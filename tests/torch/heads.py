"""Detection heads of every kind, and cfgs small enough to train in a test."""

from __future__ import annotations

import torch
from torch import Tensor

from prune.darknet.layers import Head, Yolo
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

LAST = """[convolutional]
size=1
stride=1
filters={filters}
activation={activation}

"""

YOLO = """[{kind}]
mask={mask}
anchors={anchors}
classes={classes}
num=6
ignore_thresh=.7
scale_x_y={scale}
new_coords={new_coords}
"""

REGION = """[region]
anchors={anchors}
classes={classes}
num={num}
softmax={softmax}
thresh=.7
"""

REGION_KINDS = {"region": 1, "region without softmax": 0}
ENTRIES = {"Gaussian_yolo": 9}


def head_text(kind: str, mask: str, anchors: str, classes: int, stride: int, scale: float, new_coords: int) -> str:
    """A head's convolution and its section; anchors are in pixels, and written in cells for `[region]`."""
    boxes = len(mask.split(","))
    activation = "logistic" if new_coords else "linear"
    last = LAST.format(filters=boxes * (ENTRIES.get(kind, 5) + classes), activation=activation)
    if kind not in REGION_KINDS:
        text = YOLO.format(kind=kind, mask=mask, anchors=anchors, classes=classes, scale=scale, new_coords=new_coords)
        return last + (text if kind == "yolo" else text.replace(f"new_coords={new_coords}\n", ""))
    numbers = [float(v) / stride for v in anchors.split(",")]
    used = [numbers[2 * int(i) + side] for i in mask.split(",") for side in (0, 1)]
    cells = ",".join(map(str, used))
    return last + REGION.format(anchors=cells, classes=classes, num=boxes, softmax=REGION_KINDS[kind])


def two_head_cfg(
    classes: int = 2,
    *,
    masks: tuple[str, str] = ("3,4,5", "0,1,2"),
    new_coords: int = 0,
    scale: float = 1.0,
    size: int = 64,
    anchors: str = ANCHORS,
    second_classes: int | None = None,
    kinds: tuple[str, str] = ("yolo", "yolo"),
) -> str:
    """A network with a head at stride 16 and one at stride 8."""
    parts = [f"[net]\nwidth={size}\nheight={size}\nchannels=3\n"]
    parts += [CONV.format(filters=f, stride=2) for f in (8, 16, 32)]
    heads = [
        head_text(kind, mask, anchors, count, stride, scale, new_coords)
        for kind, mask, count, stride in zip(kinds, masks, (classes, second_classes or classes), (16, 8), strict=True)
    ]
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
    found = two_heads(**options).heads[0]  # type: ignore[arg-type]
    assert isinstance(found, Yolo)
    return found


def random_raw(heads: tuple[Head, ...], batch: int, size: int = 64, seed: int = 0) -> list[Tensor]:
    """Raw head inputs, at strides 16 and 8."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, h.channels, size // stride, size // stride, generator=generator)
        for h, stride in zip(heads, (16, 8), strict=True)
    ]
