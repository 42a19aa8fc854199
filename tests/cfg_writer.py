"""Writes cfg text layer by layer, drawing what is not given, and keeps count of the shapes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

ACTIVATIONS = (
    "leaky", "linear", "relu", "logistic", "mish", "swish", "relu6", "tanh", "elu", "selu", "hard_mish", "revleaky",
    "relie", "ramp", "hardtan", "lhtan", "plse", "stair", "gelu", "loggy", "normalize_channels",
    "normalize_channels_softmax", "normalize_channels_softmax_maxval", "h_swish",
)  # fmt: skip
IMAGE_SIZE = 16
T = TypeVar("T")


class CfgWriter:
    """`outputs` holds (channels, side in pixels) of each layer so far."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.sections: list[str] = []
        self.outputs: list[tuple[int, int]] = []

    def text(self) -> str:
        """The cfg so far."""
        net = f"[net]\nwidth={IMAGE_SIZE}\nheight={IMAGE_SIZE}\nchannels=3\n\n"
        return net + "\n".join(self.sections)

    def conv(
        self,
        filters: int | None = None,
        size: int | None = None,
        stride: int = 1,
        groups: int = 1,
        bn: bool | None = None,
        activation: str | None = None,
        share: int | None = None,
    ) -> int:
        """A padded convolution on the last layer; what is not given is drawn. Returns its index."""
        filters = filters or self.random.randint(2, 10)
        size = size or self.some([1, 3])
        normal = self.random.random() < 0.9 if bn is None else bn
        lines = ["[convolutional]"] + ["batch_normalize=1"] * normal
        lines += [f"filters={filters}", f"size={size}", f"stride={stride}", "pad=1"]
        lines += [f"groups={groups}"] * (groups > 1)
        if share is not None:
            lines.append(f"share_index={self.some([share, share - len(self.outputs)])}")
        if activation is None:
            activation = self.some(ACTIVATIONS) if normal else self.some(["leaky", "linear"])
        self.sections.append("\n".join([*lines, f"activation={activation}"]) + "\n")
        self.outputs.append((filters, self.slid(size, stride, 2 * (size // 2))))
        return self.last

    def connected(self, filters: int, activation: str | None = None) -> int:
        """A fully connected layer on the last one, with or without batch norm."""
        normal = self.random.random() < 0.6
        activation = activation or self.some(["leaky", "relu", "linear"])
        options = {"batch_normalize": int(normal), "output": filters, "activation": activation}
        return self.add("connected", shape=(filters, 1), **options)

    def add(self, kind: str, *sources: int, shape: tuple[int, int] | None = None, **options: object) -> int:
        """Any other layer; an option of value None takes the references to `sources`, relative or absolute."""
        here = len(self.outputs)
        lines = [f"[{kind}]"]
        for key, value in options.items():
            refs = [str(self.some([source, source - here])) for source in sources]
            lines.append(f"{key}={','.join(refs) if value is None else value}")
        self.sections.append("\n".join(lines) + "\n")
        self.outputs.append(shape or self.outputs[sources[0] if sources else self.last])
        return self.last

    def shortcut(self, *sources: int, weighted: bool = False) -> int:
        """Adds the last layer and `sources`, now and then with weights."""
        activation = self.some(["linear"] * 5 + ["leaky", "logistic"])
        options: dict[str, object] = {"from": None, "activation": activation}
        if weighted:
            options["weights_type"] = self.some(["per_feature", "per_channel"])
            options["weights_normalization"] = self.some(["none", "relu", "softmax"])
        return self.add("shortcut", *sources, shape=self.outputs[-1], **options)

    def head(self) -> None:
        """The convolution before a head, and the head."""
        classes, anchors = self.some([1, 2]), self.some([1, 2])
        kind, entries = self.some([("yolo", 5), ("yolo", 5), ("Gaussian_yolo", 9), ("region", 5)])
        if self.random.random() < 0.9:
            self.conv(anchors * (entries + classes), 1, bn=False, activation="linear")
        else:
            self.conv(anchors * (entries + classes), 1, bn=True)
        if kind == "region":
            self.add("region", anchors=", ".join(["1,2"] * anchors), classes=classes, num=anchors, softmax=1)
        else:
            mask = ",".join(map(str, range(anchors)))
            self.add(kind, mask=mask, anchors="4,4, 8,8", classes=classes, num=2)

    @property
    def last(self) -> int:
        """The index of the last layer."""
        return len(self.outputs) - 1

    @property
    def width(self) -> int:
        """The channels of the last layer."""
        return self.outputs[-1][0]

    @property
    def side(self) -> int:
        """The height and width of the last layer."""
        return self.outputs[-1][1]

    def some(self, values: Sequence[T]) -> T:
        """Any of some values."""
        return self.random.choice(values)

    def alike(self) -> list[int]:
        """All layers with maps of the last one's size, except heads."""
        heads = ("[yolo", "[Gaussian_yolo", "[region")
        kinds = [section.split("]")[0] for section in self.sections]
        return [i for i, (_, side) in enumerate(self.outputs) if side == self.side and kinds[i] not in heads]

    def total(self, sources: Sequence[int]) -> int:
        """The channels of some layers together."""
        return sum(self.outputs[source][0] for source in sources)

    def slid(self, size: int, stride: int, padding: int) -> int:
        """The output side of a window over the last layer, or over the image."""
        side = self.outputs[-1][1] if self.outputs else IMAGE_SIZE
        return (side + padding - size) // stride + 1
