"""The gate: the pruned network must compute what the masked original computes, before anything is written.

Masked: original shapes, outputs of cut channels forced to 0, constants absorbed, removed bodies skipped.
Both run in float64 on one random image, side by side, each value dropped behind its last reader.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.layers import Connected, Convolutional, Gate, Head, Layer, Shortcut
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import largest_stride, shapes
from prune.darknet.walk import Domain, steps
from prune.darknet.weights import Weights
from prune.errors import CfgError, GateError
from prune.graph.freeze import unread_layers
from prune.model.activations import ACTIVATIONS
from prune.model.tensors import BATCH_NORM_EPSILON, TensorDomain
from prune.surgery.apply import Masked, Pruned

TOLERANCE = 1e-9
_LARGEST_SIDE = 128


class WeightsDomain(TensorDomain):
    """A forward pass straight from `Weights`, in the image's dtype."""

    def __init__(self, imgs: Tensor, weights: Weights) -> None:
        super().__init__(imgs)
        self.weights = weights

    def convolution(self, layer: Convolutional, x: Tensor) -> Tensor:
        record = self.weights.conv(layer.index if layer.share is None else layer.share)
        bias, *normal, kernel = (torch.tensor(array, dtype=x.dtype) for array in record.arrays())
        stride = (layer.stride_y, layer.stride_x)
        y = F.conv2d(x, kernel, None, stride, layer.pad, layer.dilation, layer.groups)
        if normal:
            gamma, mean, var = normal
            y = F.batch_norm(y, mean, var, gamma, bias, eps=BATCH_NORM_EPSILON)
        else:
            y += bias.view(1, -1, 1, 1)
        return ACTIVATIONS[layer.activation](y)

    def shortcut_weights(self, layer: Shortcut) -> Tensor:
        return torch.tensor(self.weights.shortcut(layer.index).weights, dtype=self.imgs.dtype)


class MaskedDomain(WeightsDomain):
    """The masked original: cut channels give 0, a removed block gives its skips, its body nothing."""

    def __init__(self, imgs: Tensor, masked: Masked) -> None:
        super().__init__(imgs, masked.weights)
        self.masked = masked
        self.blocks = {block.shortcut: block for block in masked.blocks}
        self.bodies = {index for block in masked.blocks for index in block.body}
        self.shapes = shapes(masked.graph.netdef, imgs.shape[3], imgs.shape[2])

    def convolution(self, layer: Convolutional, x: Tensor) -> Tensor:
        if layer.index in self.bodies:
            return x.new_zeros(1).expand(x.shape[0], *self.shapes[layer.index])
        return self._masked(layer, super().convolution(layer, x))

    def shortcut(self, layer: Shortcut, inputs: Sequence[Tensor]) -> Tensor:
        block, value_of = self.blocks.get(layer.index), dict(zip(layer.inputs, inputs, strict=True))
        if block is None:
            return self._masked(layer, super().shortcut(layer, inputs))
        left = [value_of[source] for source in block.skips]
        if block.replaced:
            return self._masked(layer, self._convolved_skip(layer, left[0]))
        return self._masked(layer, super().shortcut(layer, left)) if block.stays else left[0]

    def _convolved_skip(self, layer: Shortcut, skip: Tensor) -> Tensor:
        """What the depthwise convolution in the place of a removed shortcut makes of the skip."""
        record = self.masked.weights.conv(layer.index)
        factor, shift = (torch.tensor(array, dtype=skip.dtype).view(1, -1, 1, 1) for array in record.arrays()[::-1])
        return ACTIVATIONS[layer.activation](skip * factor + shift)

    def gate(self, layer: Gate, before: Tensor, source: Tensor) -> Tensor:
        return self._masked(layer, super().gate(layer, before, source))

    def _masked(self, layer: Layer, value: Tensor) -> Tensor:
        """Zero at cut channels, also where the layer's activation does not keep 0."""
        keep = torch.from_numpy(self.masked.kept[self.masked.graph.trace.outputs[layer.index]])
        return value * keep.view(1, -1, 1, 1)


def gate(pruned: Pruned, seed: int = 0) -> float:
    """The largest deviation at any head input, relative to its largest value.

    Raises GateError where it exceeds TOLERANCE or a value is not finite.
    """
    imgs = _random_image(pruned.masked.graph.netdef, seed)
    masked = outputs(pruned.masked.graph.netdef, MaskedDomain(imgs, pruned.masked))
    cut = outputs(pruned.netdef, WeightsDomain(imgs, pruned.weights))
    worst = 0.0
    for number, (a, b) in enumerate(zip(masked, cut, strict=True)):
        if not a.isfinite().all():
            raise GateError(f"gate: head {number} is not finite before the cut; the weights hold NaN, inf or too much")
        deviation = relative_deviation(a, b)
        if not deviation <= TOLERANCE:
            raise GateError(
                f"gate: head {number} of the pruned network deviates by {deviation:.1e} of its largest value "
                f"(allowed {TOLERANCE:.0e}); nothing was written, please report this cfg"
            )
        worst = max(worst, deviation)
    return worst


def outputs(netdef: NetDef, domain: Domain[Tensor]) -> list[Tensor]:
    """The head inputs, or where a network has no heads the outputs nobody reads."""
    ends = {layer.index for layer in netdef.layers if isinstance(layer, Head)}
    ends |= {layer.index for layer in unread_layers(netdef)}
    with torch.inference_mode():
        return [value for layer, value in steps(netdef, domain) if layer.index in ends]


def relative_deviation(a: Tensor, b: Tensor) -> float:
    """max|a − b| / max|b|; infinite where shapes differ or a value is not finite."""
    if a.shape != b.shape or not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    scale = float(b.abs().max())
    difference = float((a - b).abs().max())
    return difference / scale if scale > 0 else difference


def _random_image(netdef: NetDef, seed: int) -> Tensor:
    """(1, C, H, W) float64 in [0, 1), the cfg's size or at most 128 px where its layers allow it."""
    width, height = netdef.net.width, netdef.net.height
    if not any(isinstance(layer, Connected) for layer in netdef.layers):  # these take the cfg's size only
        stride = largest_stride(netdef)
        largest = max(stride, _LARGEST_SIDE // stride * stride)
        width, height = min(width, largest), min(height, largest)
    try:
        shapes(netdef, width, height)
    except CfgError:  # a window as large as the whole map, say
        width, height = netdef.net.width, netdef.net.height
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, netdef.net.channels, height, width, generator=generator, dtype=torch.float64)
