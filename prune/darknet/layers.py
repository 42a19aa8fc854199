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
    """A convolution, with batch norm where `batch_normalize`. `pad` is in pixels on each side.

    `flipped`: its kernel is transposed in the weights file. `share`: the layer whose floats it uses, if
    not its own. `stored`: whether the weights file contains floats of it.
    """

    filters: int
    size: int
    stride_x: int
    stride_y: int
    pad: int
    dilation: int
    groups: int
    batch_normalize: bool
    activation: str
    flipped: bool = False
    share: int | None = None
    stored: bool = True

    @property
    def owner(self) -> int:
        """The layer whose floats it uses: `share`, or itself."""
        return self.index if self.share is None else self.share


@dataclass(frozen=True, slots=True)
class Connected(Convolutional):
    """A fully connected layer: a convolution without padding whose kernel covers its whole input (C, H, W).

    `filters` is the cfg's `output`; it reads (C, H, W) and writes (filters, 1, 1). `size` is 0: the kernel's
    size is that of the input and need not be square.
    """


@dataclass(frozen=True, slots=True)
class Shortcut(Layer):
    """The sum of its inputs: (the layer before, *from). Unequal widths add their common first channels.

    Where `weights` is not "none" each input is multiplied first, "per_feature" by one number, "per_channel" by one
    for each channel; `normalization` ("none", "relu", "softmax") says how they are made to sum to (nearly) one.
    """

    activation: str
    weights: str = "none"
    normalization: str = "none"


@dataclass(frozen=True, slots=True)
class Route(Layer):
    """The concatenation of its inputs, or of the `group_id`-th of `groups` equal parts of each input."""

    groups: int
    group_id: int


@dataclass(frozen=True, slots=True)
class Upsample(Layer):
    """Nearest-neighbour upsampling by `stride`, times `scale`."""

    stride: int
    scale: float


@dataclass(frozen=True, slots=True)
class Maxpool(Layer):
    """Max-pooling; `padding` is the total over both sides, the smaller half first, filled with −∞.

    With `depth` > 0 it pools over channels instead, and not over the map: output g of `depth` is the largest of
    the input channels g, g + depth, g + 2·depth, …
    """

    size: int
    stride_x: int
    stride_y: int
    padding: int
    depth: int = 0


@dataclass(frozen=True, slots=True)
class LocalAvgpool(Layer):
    """The mean over a window, of those pixels that lie within the map; `padding` as in Maxpool."""

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
class Softmax(Layer):
    """Softmax over all numbers of each of `groups` equal parts of its input, divided by `temperature` before."""

    groups: int
    temperature: float


@dataclass(frozen=True, slots=True)
class Reorg(Layer):
    """Space to depth by `stride`, or back with `reverse`: (C, H, W) ↔ (C·stride², H/stride, W/stride).

    `reorg3d` moves whole channels (never with `reverse`). `reorg` is Darknet's old one, which reinterprets the
    memory: its outputs mix inputs, and only whole aligned runs of stride² channels can be separated.
    """

    stride: int
    reverse: bool


@dataclass(frozen=True, slots=True)
class Gate(Layer):
    """Features times gate, inputs (the layer before, from).

    `scale_channels`: the layer before is the gate (C, 1, 1), `from` the features; with `scale_wh` the gate is
    (1, H, W) instead. `sam`: both have the same shape; which is which does not matter.
    """

    activation: str
    scale_wh: bool = False


@dataclass(frozen=True, slots=True)
class Head(Layer):
    """A detection head. Its input has, for each of its `boxes` anchors, `entries` + `classes` channels."""

    anchors: tuple[tuple[float, float], ...]
    classes: int

    @property
    def boxes(self) -> int:
        """How many anchors this head uses."""
        return len(self.masked_anchors)

    @property
    def entries(self) -> int:
        """How many numbers of a box come before its classes: 4 of the box and objectness."""
        return 5

    @property
    def channels(self) -> int:
        """How many channels the head's input must have."""
        return self.boxes * (self.entries + self.classes)

    @property
    def masked_anchors(self) -> tuple[tuple[float, float], ...]:
        """The anchors (w, h) this head uses, in order, in the unit of `anchors`."""
        return self.anchors


@dataclass(frozen=True, slots=True)
class Yolo(Head):
    """A `[yolo]` head. `anchors` are (w, h) in pixels of the network's input, all of them; `mask` picks this
    head's, in this order."""

    mask: tuple[int, ...]
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
    def masked_anchors(self) -> tuple[tuple[float, float], ...]:
        """This head's anchors (w, h) in pixels of the network's input, in mask order."""
        return tuple(self.anchors[i] for i in self.mask)


@dataclass(frozen=True, slots=True)
class GaussianYolo(Yolo):
    """A `[Gaussian_yolo]` head: x, y, w, h each followed by its uncertainty, then objectness, then classes."""

    uc_normalizer: float = 1.0

    @property
    def entries(self) -> int:
        """Four coordinates, their four uncertainties and objectness."""
        return 9


@dataclass(frozen=True, slots=True)
class Region(Head):
    """A `[region]` head (YOLOv2). `anchors` are (w, h) in cells of its input; it uses all of them.

    Classes are a softmax where `softmax`.
    """

    softmax: bool
    thresh: float = 0.5


@dataclass(frozen=True, slots=True)
class NetOptions:
    """The `[net]` section. width × height is the network's input in pixels."""

    section: Section
    width: int
    height: int
    channels: int
    letter_box: bool
