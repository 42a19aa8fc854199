"""A network with its batch norms folded into its convolutions, for inference."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from prune.model.build import ConvBlock, DarknetModel


def fused(model: DarknetModel) -> DarknetModel:
    """A copy, in eval mode, that computes the same (to about 1e-6) without batch norms; `model` is unchanged."""
    twin = copy.deepcopy(model, {id(model.netdef): model.netdef}).eval().requires_grad_(False)
    blocks = [block for block in twin.modules() if isinstance(block, ConvBlock)]
    # All are made before any is replaced: blocks may share a convolution and its batch norm.
    for block, conv in zip(blocks, [_folded(block) for block in blocks], strict=True):
        block.conv, block.bn = conv, None
    return twin


def _folded(block: ConvBlock) -> nn.Conv2d:
    conv = block.conv if block.bn is None else fuse_conv_bn_eval(block.conv, block.bn)
    conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)
    return conv
