"""`NetDef` → `DarknetModel`: a module whose forward pass is Darknet's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from prune.darknet.layers import Connected, Convolutional, Head, Shortcut
from prune.darknet.netdef import NetDef
from prune.darknet.records import BATCH_NORM_EPSILON
from prune.darknet.shapes import Kernel, kernel_shapes, shapes
from prune.darknet.walk import steps
from prune.errors import PlanError, UsageError
from prune.model.activations import ACTIVATIONS
from prune.model.tensors import TensorDomain


class ConvBlock(nn.Module):
    """A convolution or connected layer, its batch norm where it has one (`bn`), and its activation.

    A connected layer is a convolution whose kernel covers its input: it only accepts maps of that size. With an
    `owner` the kernel, the bias and the batch norm are the owner's (`share_index`), all else is this layer's.
    """

    def __init__(self, layer: Convolutional, kernel: Kernel, owner: ConvBlock | None = None) -> None:
        super().__init__()
        filters, in_channels, *size = kernel
        self.conv = nn.Conv2d(
            in_channels * layer.groups,
            filters,
            (size[0], size[1]),
            (layer.stride_y, layer.stride_x),
            layer.pad,
            layer.dilation,
            layer.groups,
            bias=not layer.batch_normalize,
        )
        self.bn = nn.BatchNorm2d(filters, eps=BATCH_NORM_EPSILON) if layer.batch_normalize else None
        self.activation = layer.activation
        self.fixed_hw = (size[0], size[1]) if isinstance(layer, Connected) else None
        if owner is not None:
            self.conv.weight, self.conv.bias, self.bn = owner.conv.weight, owner.conv.bias, owner.bn

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, out, H', W'). Raises UsageError where a connected layer gets a map of another size."""
        if self.fixed_hw is not None and x.shape[2:] != self.fixed_hw:
            found, wanted = (f"{hw[1]}x{hw[0]}" for hw in (x.shape[2:], self.fixed_hw))
            raise UsageError(f"[connected] reads a map of {wanted}, not {found}: its network takes one image size")
        x = self.conv(x)
        return ACTIVATIONS[self.activation](x if self.bn is None else self.bn(x))


class ShortcutWeights(nn.Module):
    """The parameter of a weighted shortcut: `weights` (n,) or (n, C), of its n inputs, initially 1."""

    def __init__(self, layer: Shortcut, channels: int) -> None:
        super().__init__()
        shape = (len(layer.inputs),) if layer.weights == "per_feature" else (len(layer.inputs), channels)
        self.weights = nn.Parameter(torch.ones(shape))


class DarknetModel(nn.Module):
    """The network of a NetDef, newly initialised. `heads` are its detection heads in the order of the cfg.

    Raises CfgError where its layers do not fit each other.
    """

    def __init__(self, netdef: NetDef) -> None:
        super().__init__()
        self.netdef = netdef
        self.heads: tuple[Head, ...] = netdef.heads
        self.blocks = nn.ModuleDict(_blocks(netdef))
        self.shortcuts = nn.ModuleDict(_shortcuts(netdef))
        self.frozen = 0

    def freeze(self, layers: int) -> None:
        """Keep the parameters of the first `layers` layers unchanged: they get no gradient, and their batch norms use
        and keep the stored mean and variance in training, too. All others are trained.
        """
        self.frozen = layers
        for index, module in self._owners():
            module.requires_grad_(index >= layers)
        self.train(self.training)

    def train(self, mode: bool = True) -> DarknetModel:
        """As in nn.Module, except that frozen layers remain in evaluation mode."""
        super().train(mode)
        for index, module in self._owners():
            if index < self.frozen:
                module.eval()
        return self

    def _owners(self) -> Iterator[tuple[int, nn.Module]]:
        """(layer index, module) of all layers with their own parameters."""
        yield from self.convolutions()
        yield from ((int(key), module) for key, module in self.shortcuts.items())

    def forward(self, imgs: Tensor) -> list[Tensor]:
        """imgs (B, channels, H, W) in [0, 1] → for each head its undecoded input (B, A·(entries + C), H', W')."""
        domain = ModuleDomain(self, imgs)
        return [value for layer, value in steps(self.netdef, domain) if isinstance(layer, Head)]

    def features(self, imgs: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """imgs as for `forward` → the outputs (B, C, H', W') of `layers`, in their order; of a head, its input.

        Layers count from 0, without [net]. Raises PlanError for a layer that the network does not have.
        """
        for index in layers:
            if not 0 <= index < len(self.netdef.layers):
                raise PlanError(
                    f"{self.netdef.path}: there is no layer {index}; it has {len(self.netdef.layers)}, from 0"
                )
        every = steps(self.netdef, ModuleDomain(self, imgs))
        wanted = {
            layer.index: value for layer, value in islice(every, max(layers, default=-1) + 1) if layer.index in layers
        }
        return [wanted[index] for index in layers]

    def block(self, layer_index: int) -> ConvBlock:
        """The convolution or connected layer at an index. Raises PlanError where the layer is of another kind."""
        self.netdef.convolution(layer_index)
        return cast(ConvBlock, self.blocks[str(layer_index)])

    def bn_of(self, layer_index: int) -> nn.BatchNorm2d:
        """The batch norm of the CBL at a layer index. Raises PlanError where it has none."""
        bn = self.block(layer_index).bn
        if bn is None:
            raise PlanError(f"{self.netdef.path}: layer {layer_index} has no batch norm")
        return bn

    def convolutions(self) -> Iterator[tuple[int, ConvBlock]]:
        """(layer index, block) of every convolution with its own parameters, in the order of the cfg."""
        return ((layer.index, self.block(layer.index)) for layer in self.netdef.owners)

    def shortcut_weights(self, layer_index: int) -> nn.Parameter:
        """The weights of the weighted shortcut at an index. Raises PlanError where there is none."""
        if str(layer_index) not in self.shortcuts:
            raise PlanError(f"{self.netdef.path}: layer {layer_index} is not a weighted shortcut")
        return cast(ShortcutWeights, self.shortcuts[str(layer_index)]).weights


class ModuleDomain(TensorDomain):
    """The forward pass of a module, in its mode (training or not)."""

    def __init__(self, model: DarknetModel, imgs: Tensor) -> None:
        super().__init__(imgs, model.training)
        self.model = model

    def convolution(self, layer: Convolutional, x: Tensor) -> Tensor:
        return cast(Tensor, self.model.blocks[str(layer.index)](x))

    def shortcut_weights(self, layer: Shortcut) -> Tensor:
        return self.model.shortcut_weights(layer.index)


def _blocks(netdef: NetDef) -> dict[str, nn.Module]:
    kernels, blocks = kernel_shapes(netdef), dict[str, nn.Module]()
    for layer in netdef.convolutions:
        owner = None if layer.share is None else cast(ConvBlock, blocks[str(layer.share)])
        blocks[str(layer.index)] = ConvBlock(layer, kernels[layer.index], owner)
    return blocks


def _shortcuts(netdef: NetDef) -> dict[str, nn.Module]:
    weighted = [layer for layer in netdef.layers if isinstance(layer, Shortcut) and layer.weights != "none"]
    out = shapes(netdef) if weighted else []
    return {str(layer.index): ShortcutWeights(layer, out[layer.index].channels) for layer in weighted}
