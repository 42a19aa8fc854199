"""Forward passes straight from weights, in float64, on one random image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from prune.darknet.layers import Connected, Convolutional, Head, Reorg, Shortcut
from prune.darknet.netdef import NetDef
from prune.darknet.records import BATCH_NORM_EPSILON, ConvParams, Weights
from prune.darknet.shapes import input_shapes, largest_stride
from prune.darknet.walk import Domain, steps
from prune.errors import CfgError
from prune.graph.freeze import unread_layers
from prune.model.activations import ACTIVATIONS
from prune.model.tensors import TensorDomain

_LARGEST_SIDE = 128


class WeightsDomain(TensorDomain):
    """A forward pass straight from `Weights`, in the image's dtype."""

    def __init__(self, imgs: Tensor, weights: Weights) -> None:
        super().__init__(imgs)
        self.weights = weights

    def record(self, layer: Convolutional) -> ConvParams:
        """The floats that a convolution computes with."""
        return self.weights.conv(layer.owner)

    def convolution(self, layer: Convolutional, x: Tensor) -> Tensor:
        return ACTIVATIONS[layer.activation](self.normalised(layer, x))

    def normalised(self, layer: Convolutional, x: Tensor) -> Tensor:
        """What a convolution computes before its activation."""
        bias, *normal, kernel = (torch.tensor(array, dtype=x.dtype) for array in self.record(layer).arrays())
        y = self.convolved(layer, x, kernel)
        if not normal:
            return y + bias.view(1, -1, 1, 1)
        gamma, mean, var = normal
        return F.batch_norm(y, mean, var, gamma, bias, eps=BATCH_NORM_EPSILON)

    def convolved(self, layer: Convolutional, x: Tensor, kernel: Tensor) -> Tensor:
        """The convolution alone, padded with zeros."""
        stride = (layer.stride_y, layer.stride_x)
        return F.conv2d(x, kernel, None, stride, layer.pad, layer.dilation, layer.groups)

    def shortcut_weights(self, layer: Shortcut) -> Tensor:
        return torch.tensor(self.weights.shortcut(layer.index).weights, dtype=self.imgs.dtype)


class CircularDomain(WeightsDomain):
    """Convolutions wrap around at the borders of a map, so that a constant channel stays constant up to the last
    pixel, whatever reads it."""

    def convolved(self, layer: Convolutional, x: Tensor, kernel: Tensor) -> Tensor:
        stride = (layer.stride_y, layer.stride_x)
        return F.conv2d(_wrapped(x, layer.pad), kernel, None, stride, 0, layer.dilation, layer.groups)


def _wrapped(x: Tensor, pad: int) -> Tensor:
    """x (B, C, H, W) with `pad` pixels of its other side at each side; `pad` may exceed the map."""
    if pad == 0:
        return x
    rows, columns = (torch.arange(-pad, side + pad) % side for side in x.shape[2:])
    return x[:, :, rows][:, :, :, columns]


def outputs(netdef: NetDef, domain: Domain[Tensor]) -> dict[int, Tensor]:
    """The head inputs, and the outputs that nothing reads, by layer index."""
    ends = {layer.index for layer in netdef.layers if isinstance(layer, Head)}
    ends |= {layer.index for layer in unread_layers(netdef)}
    with torch.inference_mode():
        return {layer.index: value for layer, value in steps(netdef, domain) if layer.index in ends}


def relative_deviation(a: Tensor, b: Tensor) -> float:
    """max|a − b| / max|b|; infinite where shapes differ or a value is not finite."""
    if a.shape != b.shape or not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    scale = float(b.abs().max())
    difference = float((a - b).abs().max())
    return difference / scale if scale > 0 else difference


def random_image(netdef: NetDef, seed: int) -> Tensor:
    """(1, C, H, W) float64 in [0, 1), the cfg's size or at most 128 px where its layers allow it."""
    stride, own = largest_stride(netdef), (netdef.net.width, netdef.net.height)
    largest = max(stride, _LARGEST_SIDE // stride * stride)
    small = min(own[0], largest), min(own[1], largest)
    width, height = small if _computes_the_same(netdef, *small) else own
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, netdef.net.channels, height, width, generator=generator, dtype=torch.float64)


def _computes_the_same(netdef: NetDef, width: int, height: int) -> bool:
    """Whether all layers take an image of this size and treat their channels as at the cfg's: a connected layer takes
    no other size, a window may be as large as the whole map, and an old reorg of an odd map mixes channels that it
    keeps apart elsewhere."""
    if any(isinstance(layer, Connected) for layer in netdef.layers):
        return False
    try:
        read = input_shapes(netdef, width, height)
    except CfgError:
        return False
    reorgs = [layer for layer in netdef.layers if isinstance(layer, Reorg) and layer.kind == "reorg"]
    return not any(read[x.index].height // x.stride % x.stride for x in reorgs)
