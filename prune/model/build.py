"""`NetDef` → `DarknetModel`: a module whose forward pass is Darknet's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from torch import Tensor, nn

from prune.darknet.layers import Convolutional, Yolo
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import input_channels
from prune.darknet.walk import steps
from prune.errors import PlanError
from prune.model.tensors import ACTIVATIONS, BATCH_NORM_EPSILON, TensorDomain


class ConvBlock(nn.Module):
    """A convolution, its batch norm where it has one (`bn`), and its activation."""

    def __init__(self, layer: Convolutional, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            layer.filters,
            layer.size,
            (layer.stride_y, layer.stride_x),
            layer.pad,
            layer.dilation,
            layer.groups,
            bias=not layer.batch_normalize,
        )
        self.bn = nn.BatchNorm2d(layer.filters, eps=BATCH_NORM_EPSILON) if layer.batch_normalize else None
        self.activation = layer.activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, out, H', W')."""
        x = self.conv(x)
        return ACTIVATIONS[self.activation](x if self.bn is None else self.bn(x))


class DarknetModel(nn.Module):
    """The network of a NetDef. `heads` are its `[yolo]` layers in the order of the cfg."""

    def __init__(self, netdef: NetDef) -> None:
        super().__init__()
        channels = input_channels(netdef)
        self.netdef = netdef
        self.heads: tuple[Yolo, ...] = netdef.yolo_heads
        blocks = {str(layer.index): ConvBlock(layer, channels[layer.index]) for layer in netdef.convolutions}
        self.blocks = nn.ModuleDict(blocks)

    def forward(self, imgs: Tensor) -> list[Tensor]:
        """imgs (B, 3, H, W) RGB in [0, 1] → for each head its undecoded input (B, A·(5 + classes), H', W')."""
        domain = TensorDomain(imgs, self._convolve, self.training)
        return [value for layer, value in steps(self.netdef, domain) if isinstance(layer, Yolo)]

    def block(self, layer_index: int) -> ConvBlock:
        """The convolution at a layer index. Raises PlanError where another kind stands there."""
        self.netdef.convolution(layer_index)
        return cast(ConvBlock, self.blocks[str(layer_index)])

    def bn_of(self, layer_index: int) -> nn.BatchNorm2d:
        """The batch norm of the CBL at a layer index. Raises PlanError where it has none."""
        bn = self.block(layer_index).bn
        if bn is None:
            raise PlanError(f"{self.netdef.path}: layer {layer_index} has no batch norm")
        return bn

    def convolutions(self) -> Iterator[tuple[int, ConvBlock]]:
        """(layer index, block) of every convolution in the order of the cfg."""
        return ((layer.index, self.block(layer.index)) for layer in self.netdef.convolutions)

    def _convolve(self, layer: Convolutional, x: Tensor) -> Tensor:
        return cast(Tensor, self.blocks[str(layer.index)](x))


def build(netdef: NetDef) -> DarknetModel:
    """A fresh module for `netdef`; raises CfgError where its layers do not fit each other."""
    return DarknetModel(netdef)
