"""The absorption check: the pruned network must compute what the true original computes with γ = 0 where it was cut.

The original runs with its own floats, removed blocks included, and only the γ of what is cut set to 0 (of a depthwise
chain the smallest one: that rule is taken from `surgery.strength`, not checked). The constants come out of that pass by
themselves: no absorbed parameter is used and, except at channels reported as lost, no computed constant. Both networks
wrap around at the borders of their maps, where zero padding would make a constant visible. Every convolution of the
pruned network is compared before its activation and the original continues with the pruned network's values, so that
rounding does not add up and a fault shows where it is.

What absorption itself reports as lost (`Loss`) is the only thing that may deviate: those channels alone, at those
layers alone, count as what the pruned network has there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prune.darknet.layers import IMAGE, Convolutional, Gate, Layer, Reorg, Shortcut
from prune.darknet.records import BATCH_NORM_EPSILON, ConvParams, Weights
from prune.darknet.walk import Channelwise
from prune.errors import VerificationError
from prune.graph.trace import is_depthwise
from prune.model.activations import ACTIVATIONS
from prune.surgery.apply import Pruned
from prune.surgery.losses import Flags, Place
from prune.surgery.strength import dead_by_input, own_strength
from prune.verify.passes import CircularDomain, outputs, random_image

TOLERANCE = 1e-9
"""Relative to the largest value of a layer; the float32 rounding of an adjusted mean or bias is added to it."""


class PrunedDomain(CircularDomain):
    """The pruned network. `before`: what its convolutions compute before their activation; `after`: what the layers
    of `wanted` write."""

    def __init__(self, imgs: Tensor, weights: Weights, wanted: Collection[int]) -> None:
        super().__init__(imgs, weights)
        self.wanted = wanted
        self.before: dict[int, Tensor] = {}
        self.after: dict[int, Tensor] = {}

    def normalised(self, layer: Convolutional, x: Tensor) -> Tensor:
        self.before[layer.index] = super().normalised(layer, x)
        return self.before[layer.index]

    def shortcut(self, layer: Shortcut, inputs: Sequence[Tensor]) -> Tensor:
        return self._stored(layer, super().shortcut(layer, inputs))

    def gate(self, layer: Gate, before: Tensor, source: Tensor) -> Tensor:
        return self._stored(layer, super().gate(layer, before, source))

    def reorg(self, layer: Reorg, x: Tensor) -> Tensor:
        return self._stored(layer, super().reorg(layer, x))

    def channelwise(self, layer: Channelwise, x: Tensor) -> Tensor:
        return self._stored(layer, super().channelwise(layer, x))

    def _stored(self, layer: Layer, value: Tensor) -> Tensor:
        if layer.index in self.wanted:
            self.after[layer.index] = value
        return value


class OriginalDomain(CircularDomain):
    """The true original with γ = 0 at what was cut, compared with the `cut` network layer by layer.

    `worst`: the largest deviation so far, relative to what is allowed; raises VerificationError where it exceeds 1.
    """

    def __init__(self, imgs: Tensor, pruned: Pruned, cut: PrunedDomain) -> None:
        super().__init__(imgs, pruned.masked.original)
        self.pruned, self.cut, self.worst = pruned, cut, 0.0
        self.graph, self.kept = pruned.masked.graph, pruned.masked.kept
        self.last_convolutions = {index for block in pruned.masked.blocks for index in block.last_convolutions}
        self.replaced = {block.shortcut for block in pruned.masked.blocks if block.replaced}
        self.losses: defaultdict[Place, dict[int, Flags]] = defaultdict(dict)
        for loss in pruned.masked.losses:
            lost = self.losses[loss.place]
            lost[loss.layer.index] = loss.channels | lost.get(loss.layer.index, np.False_)

    def record(self, layer: Convolutional) -> ConvParams:
        record = super().record(layer)
        if record.gamma is None:
            return record
        return replace(record, gamma=np.where(self._zeroed(layer, record), 0, record.gamma))

    def _zeroed(self, layer: Convolutional, record: ConvParams) -> Flags:
        """Which γ (O,) count as 0."""
        gone = ~self._kept(layer) | (layer.index in self.last_convolutions)
        source = layer.inputs[0]
        if source != IMAGE and is_depthwise(layer, len(self.graph.trace.outputs[source])):
            gone &= ~dead_by_input(own_strength(record), self.pruned.masked.constants[source].strength)
        return gone

    def convolution(self, layer: Convolutional, x: Tensor) -> Tensor:
        lost = self.losses["read"].get(layer.index)
        if lost is not None:
            x = self._as_constant(layer.inputs[0], lost, x)
        return self._settled(layer, super().convolution(layer, x))

    def normalised(self, layer: Convolutional, x: Tensor) -> Tensor:
        y, new = super().normalised(layer, x), self.pruned.index_map.get(layer.index)
        return y if new is None else self._compared(layer, y, self.cut.before[new], self._rounding(new, 0.0))

    def shortcut(self, layer: Shortcut, inputs: Sequence[Tensor]) -> Tensor:
        new = self.pruned.index_map.get(layer.index)
        if layer.index not in self.replaced or new is None:
            return self._settled(layer, super().shortcut(layer, inputs))
        y = super().shortcut(replace(layer, activation="linear"), inputs)
        scale = float(y.abs().max())  # its factors are floats of a kernel now
        return ACTIVATIONS[layer.activation](self._compared(layer, y, self.cut.before[new], self._rounding(new, scale)))

    def gate(self, layer: Gate, before: Tensor, source: Tensor) -> Tensor:
        return self._settled(layer, super().gate(layer, before, source))

    def reorg(self, layer: Reorg, x: Tensor) -> Tensor:
        return self._settled(layer, super().reorg(layer, x))

    def channelwise(self, layer: Channelwise, x: Tensor) -> Tensor:
        return self._settled(layer, super().channelwise(layer, x))

    def compare_end(self, layer: Layer, value: Tensor, cut: Tensor) -> None:
        """A head's input, or an output of the network; where a constant is lost it may differ by one."""
        lost = self.losses["end"].get(layer.index)
        if lost is not None:
            difference = value[:, self._kept(layer)] - cut
            shifted = torch.from_numpy(lost[self._kept(layer)]).view(1, -1, 1, 1)
            cut = cut + torch.where(shifted, difference.mean(dim=(2, 3), keepdim=True), 0.0)
        self._compared(layer, value, cut, torch.zeros(1, dtype=value.dtype))

    def _kept(self, layer: Layer) -> Flags:
        """Which of the channels that a layer writes (a head: reads) are kept."""
        return self.kept[self.graph.trace.outputs[layer.index]]

    def _rounding(self, new: int, scale: float) -> Tensor:
        """What rounding its adjusted mean or bias may change of each channel (O,) of the pruned convolution `new`."""
        record = self.cut.record(self.pruned.netdef.convolution(new))
        adjusted = np.abs(np.asarray(record.bias if record.mean is None else record.mean, np.float64)) + scale
        if record.gamma is not None and record.var is not None:
            adjusted = adjusted * own_strength(record) / np.sqrt(record.var.astype(np.float64) + BATCH_NORM_EPSILON)
        return torch.from_numpy(adjusted * np.finfo(record.bias.dtype).eps)

    def _compared(self, layer: Layer, value: Tensor, cut: Tensor, rounding: Tensor) -> Tensor:
        """`value` with the pruned network's values at kept channels; raises VerificationError where they deviate."""
        kept = self._kept(layer)
        exact = ~self.losses["written"].get(layer.index, np.zeros(len(kept), np.bool_))[kept]
        if value[:, kept].shape != cut.shape:
            raise _error(layer, f"writes {tuple(cut.shape)}, not {tuple(value[:, kept].shape)}")
        if not value[:, kept].isfinite().all():
            what = "is not finite before the cut; the weights contain NaN, inf or too large values"
            raise VerificationError(f"absorption check: layer {layer.index} [{layer.kind}] {what}")
        allowed = TOLERANCE * cut.abs().max() + rounding.view(1, -1, 1, 1)
        excess = ((value[:, kept] - cut).abs() / allowed.clamp_min(1e-300))[:, exact]
        worst = float(excess.max()) if excess.numel() else 0.0
        if not worst <= 1:
            raise _error(layer, f"deviates by {worst:.1e} times what rounding allows from the original with γ = 0")
        self.worst = max(self.worst, worst)
        value = value.clone()
        value[:, kept] = cut
        return value

    def _settled(self, layer: Layer, value: Tensor) -> Tensor:
        """`value` where it is exact; what is lost as in the pruned network, or as a constant where it is cut."""
        lost = self.losses["written"].get(layer.index)
        if lost is None:
            return value
        new = self.pruned.index_map.get(layer.index)
        kept = self._kept(layer) & (new is not None)
        value = self._as_constant(layer.index, lost & ~kept, value)
        if new is not None and not isinstance(layer, Convolutional):  # those were compared before their activation
            lost_of_kept = lost[kept]
            value[:, kept & lost] = self.cut.after[new][:, lost_of_kept]
        return value

    def _as_constant(self, index: int, channels: Flags, value: Tensor) -> Tensor:
        """`value` of layer `index` with the constants that absorption assumed for some channels (C,)."""
        constants: NDArray[np.float64] = self.pruned.masked.constants[index].value
        value = value.clone()
        value[:, channels] = torch.from_numpy(constants[channels]).view(1, -1, 1, 1)
        return value


def check_absorption(pruned: Pruned, seed: int = 0) -> float:
    """The largest deviation of any convolution or head, relative to what rounding allows: at most 1.

    Raises VerificationError that names the layer where it exceeds that.
    """
    netdef, index_map = pruned.masked.graph.netdef, pruned.index_map
    imgs = random_image(netdef, seed)
    wanted = {index_map[loss.layer.index] for loss in pruned.masked.losses if loss.layer.index in index_map}
    cut = PrunedDomain(imgs, pruned.weights, wanted)
    cut_ends = outputs(pruned.netdef, cut)
    original = OriginalDomain(imgs, pruned, cut)
    for index, value in outputs(netdef, original).items():
        original.compare_end(netdef.layers[index], value, cut_ends[index_map[index]])
    return original.worst


def _error(layer: Layer, what: str) -> VerificationError:
    return VerificationError(
        f"absorption check: layer {layer.index} [{layer.kind}] of the pruned network {what}; "
        f"nothing was written, please report this cfg"
    )
