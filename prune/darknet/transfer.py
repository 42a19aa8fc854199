"""Weights of one network for another: layers of equal shape are taken over by index."""

from __future__ import annotations

from prune.darknet.netdef import NetDef
from prune.darknet.shapes import input_channels
from prune.darknet.weights import ConvParams, Weights, kernel_shape


def transfer(weights: Weights, source: NetDef, target: NetDef) -> tuple[dict[int, ConvParams], list[str]]:
    """The records of `source` that fit `target`, and one line for each convolution of it that starts fresh.

    The n-th layer of one network meets the n-th of the other; they fit where kernels and batch norm agree.
    """
    channels, taken, fresh = input_channels(target), dict[int, ConvParams](), list[str]()
    for layer in target.convolutions:
        record = weights.records.get(layer.index)
        shape = kernel_shape(layer, channels[layer.index])
        if record is None:
            fresh.append(f"layer {layer.index}: {source.path} holds no convolution there")
        elif record.weight.shape != shape:
            fresh.append(f"layer {layer.index}: kernel {_text(record.weight.shape)}, here {_text(shape)}")
        elif (record.gamma is not None) != layer.batch_normalize:
            fresh.append(f"layer {layer.index}: one has batch norm, the other has not")
        else:
            taken[layer.index] = record
    return taken, fresh


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
