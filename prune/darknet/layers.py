"""The typed layers of a network: what the sections of a cfg mean.

`index` is 0-based and does not count `[net]`, as Darknet prints it. `inputs` are absolute indices of
the layers a layer reads; `IMAGE` (-1) is the network's image. Sizes are in pixels of the layer's input.
"""

from __future__ import annotations

from dataclasses import dataclass

from prune.darknet.cfg import Section

IMAGE = -1
"""The index under which layers read the network's image."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What all layers have: place, the section it came from, and what it reads."""

    index: int
    section: Section
    inputs: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The section's name, such as `convolutional`."""
        return self.section.kind


@dataclass(frozen=True, slots=True)
class Convolutional(Layer):
    """A convolution, with batch norm where `batch_normalize`. `pad` is in pixels on each side."""

    filters: int
    size: int
    stride_x: int
    stride_y: int
    pad: int
    dilation: int
    groups: int
    batch_normalize: bool
    activation: str


@dataclass(frozen=True, slots=True)
class Shortcut(Layer):
    """The sum of its inputs: (the layer before, *from). Unequal widths add their common first channels."""

    activation: str


@dataclass(frozen=True, slots=True)
class Route(Layer):
    """The concatenation of its inputs; of it the `group_id`-th of `groups` equal parts of each input."""

    groups: int
    group_id: int


@dataclass(frozen=True, slots=True)
class Upsample(Layer):
    """Nearest-neighbour upsampling by `stride`, times `scale`."""

    stride: int
    scale: float


@dataclass(frozen=True, slots=True)
class Maxpool(Layer):
    """Max-pooling; `padding` is the total over both sides, the smaller half first, filled with −∞."""

    size: int
    stride_x: int
    stride_y: int
    padding: int


@dataclass(frozen=True, slots=True)
class Avgpool(Layer):
    """The mean over the whole map: (C, H, W) → (C, 1, 1)."""


@dataclass(frozen=True, slots=True)
class Dropout(Layer):
    """Dropout in training; the identity in inference."""

    probability: float


@dataclass(frozen=True, slots=True)
class Gate(Layer):
    """Features times gate, inputs (the layer before, from).

    `scale_channels`: the layer before is the gate (C, 1, 1), `from` the features.
    `sam`: both have the same shape; which is which does not matter.
    """

    activation: str


@dataclass(frozen=True, slots=True)
class Yolo(Layer):
    """A detection head. `anchors` are (w, h) in pixels of the network's input, all of them;
    `mask` picks this head's, in this order. Its input has len(mask)·(5 + classes) channels."""

    anchors: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]
    classes: int
    scale_x_y: float = 1.0
    new_coords: bool = False
    ignore_thresh: float = 0.5
    truth_thresh: float = 1.0
    iou_thresh: float = 1.0
    iou_loss: str = "mse"
    iou_normalizer: float = 0.75
    cls_normalizer: float = 1.0
    obj_normalizer: float = 1.0
    label_smooth_eps: float = 0.0
    nms_kind: str = "default"
    beta_nms: float = 0.6

    @property
    def channels(self) -> int:
        """How many channels the head's input must have."""
        return len(self.mask) * (5 + self.classes)

    @property
    def masked_anchors(self) -> tuple[tuple[float, float], ...]:
        """This head's anchors (w, h) in pixels of the network's input, in mask order."""
        return tuple(self.anchors[i] for i in self.mask)


@dataclass(frozen=True, slots=True)
class NetOptions:
    """The `[net]` section. width × height is the network's input in pixels."""

    section: Section
    width: int
    height: int
    channels: int
    letter_box: bool
