"""Module ↔ `Weights`, bit for bit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prune.darknet.records import ConvParams, Floats, Header, Record, ShortcutParams, Weights
from prune.errors import WeightsError
from prune.model.build import ConvBlock, DarknetModel


def load_weights(model: DarknetModel, weights: Weights) -> None:
    """Copies every record of `weights` into the module; layers without a record are unchanged.

    Raises WeightsError where a record's shape is not its layer's.
    """
    for index, record in weights.records.items():
        for tensor, array in zip(_tensors(model, index, record), record.arrays(), strict=True):
            if tuple(tensor.shape) != array.shape:
                wanted = f"{tuple(tensor.shape)}, found {array.shape}"
                raise WeightsError(model.netdef.path, f"layer {index} needs an array of shape {wanted}")
            with torch.no_grad():
                tensor.copy_(torch.from_numpy(np.array(array, np.float32)))


def to_weights(model: DarknetModel, header: Header | None = None) -> Weights:
    """The module's parameters as records, in the order of the cfg; the arrays are copies on the CPU."""
    records: dict[int, Record] = {index: _record(block) for index, block in model.convolutions()}
    for key in model.shortcuts:
        records[int(key)] = ShortcutParams(_array(model.shortcut_weights(int(key))))
    return Weights(header or Header(), dict(sorted(records.items())))


def _tensors(model: DarknetModel, index: int, record: Record) -> tuple[Tensor, ...]:
    """The tensors that a record fills, in its order."""
    if isinstance(record, ShortcutParams):
        return (model.shortcut_weights(index),)
    return _block_tensors(model.block(index))


def _record(block: ConvBlock) -> ConvParams:
    *vectors, weight = (_array(tensor) for tensor in _block_tensors(block))
    return ConvParams(weight, *vectors)


def _block_tensors(block: ConvBlock) -> tuple[Tensor, ...]:
    """The block's tensors in file order: bias or (beta, gamma, mean, var), then the kernel."""
    if block.bn is None:
        assert block.conv.bias is not None
        return (block.conv.bias, block.conv.weight)
    bn = block.bn
    assert bn.running_mean is not None
    assert bn.running_var is not None
    return (bn.bias, bn.weight, bn.running_mean, bn.running_var, block.conv.weight)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous().numpy()
