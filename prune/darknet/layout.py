"""Where each layer's floats are in a weights file, and in which order.

After the header come, in cfg order, for a convolution: bias (with batch norm: beta, gamma, mean, var), then the
kernel in (out, in/groups, k, k), or in (in/groups, k, k, out) where it is `flipped`. For a connected layer: bias,
kernel in (out, in), then with batch norm gamma, mean, var. For a weighted shortcut: its factors. (Darknet's parser.c)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from prune.darknet.layers import Connected, Convolutional, Layer, Shortcut
from prune.darknet.netdef import NetDef
from prune.darknet.records import ConvParams, Floats, Header, Record, ShortcutParams
from prune.darknet.shapes import Kernel, Shape, input_shapes, kernel_shapes


@dataclass(frozen=True, slots=True)
class Slot:
    """The floats of one layer. `shape` is that of a kernel (O, I/groups, H, W), or of a shortcut's factors."""

    layer: Layer
    shape: tuple[int, ...]

    @property
    def floats(self) -> int:
        """How many floats the layer owns."""
        return prod(self.shape) + self._vectors * self.shape[0]

    @property
    def stored(self) -> bool:
        """False where the cfg says that the file contains none of them (`dontload`)."""
        return not isinstance(self.layer, Convolutional) or self.layer.stored

    @property
    def _vectors(self) -> int:
        if not isinstance(self.layer, Convolutional):
            return 0
        return 4 if self.layer.batch_normalize else 1

    def cut(self, floats: Floats, header: Header) -> Record:
        """The record in a layer's own part of the stream."""
        if not isinstance(self.layer, Convolutional):
            return ShortcutParams(floats.reshape(self.shape))
        outputs, kernel = self.shape[0], prod(self.shape)
        first = outputs if isinstance(self.layer, Connected) else self._vectors * outputs
        weight = floats[first : first + kernel]
        vectors = np.concatenate([floats[:first], floats[first + kernel :]]).reshape(-1, outputs)
        if self._flipped(header):
            weight = weight.reshape(-1, outputs).T
        return ConvParams(weight.reshape(self.shape), *vectors)

    def joined(self, record: Record, header: Header) -> Iterator[Floats]:
        """A record's arrays in the order of the file."""
        if not isinstance(record, ConvParams):
            yield from record.arrays()
            return
        weight = record.weight.reshape(len(record.weight), -1)
        kernel = weight.T if self._flipped(header) else weight
        if isinstance(self.layer, Connected):
            yield from (record.bias, kernel, *record.normal())
        else:
            yield from (record.bias, *record.normal(), kernel)

    def _flipped(self, header: Header) -> bool:
        if isinstance(self.layer, Connected):
            return header.transposed
        return isinstance(self.layer, Convolutional) and self.layer.flipped


def slots(netdef: NetDef) -> list[Slot]:
    """The layers that own floats, in the order of the file. Raises CfgError where layers do not fit each other."""
    return shaped_slots(netdef, kernel_shapes(netdef), input_shapes(netdef))


def shaped_slots(netdef: NetDef, kernels: Mapping[int, Kernel], read: Sequence[Shape]) -> list[Slot]:
    """The same with other widths: `kernels` by layer index, and the shape that each layer reads."""
    found = list[Slot]()
    for layer in netdef.layers:
        match layer:
            case Convolutional() if layer.share is None:
                found.append(Slot(layer, kernels[layer.index]))
            case Shortcut(weights="per_feature"):
                found.append(Slot(layer, (len(layer.inputs),)))
            case Shortcut(weights="per_channel"):
                found.append(Slot(layer, (len(layer.inputs), read[layer.index].channels)))
    return found
