"""Weights × kept channels → the weights of the pruned network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import Convolutional, Layer, Shortcut
from prune.darknet.records import ConvParams, Floats, Record, ShortcutParams, Weights
from prune.graph.channels import ChannelGraph

Mask = NDArray[np.bool_]


def slice_layer(graph: ChannelGraph, layer: Layer, weights: Weights, kept: Mask) -> Record | None:
    """The record of any layer without what is cut; None where it owns no floats. kept (ids,) bool."""
    record = weights.records.get(layer.index)
    if isinstance(layer, Convolutional) and isinstance(record, ConvParams):
        return slice_record(graph, layer, record, kept)
    mask = kept[graph.trace.outputs[layer.index]]
    if isinstance(layer, Shortcut) and isinstance(record, ConvParams):  # of what replaces it
        return ConvParams(record.weight[mask], record.bias[mask])
    if isinstance(record, ShortcutParams) and record.weights.ndim > 1:
        return record if mask.all() else ShortcutParams(record.weights[:, mask])
    return record


def slice_record(graph: ChannelGraph, layer: Convolutional, record: ConvParams, kept: Mask) -> ConvParams:
    """One convolution's record without the cut output and input channels. kept (ids,) bool."""
    out_keep = kept[graph.trace.ids_of(layer.index, layer.filters)]
    in_keep = kept_inputs(graph, layer, kept)
    if out_keep.all() and in_keep.all():
        return record

    def cut(vector: Floats | None) -> Floats | None:
        return None if vector is None else vector[out_keep]

    weight = _slice_kernel(record.weight, out_keep, in_keep, layer.groups)
    return ConvParams(weight, record.bias[out_keep], cut(record.gamma), cut(record.mean), cut(record.var))


def kept_inputs(graph: ChannelGraph, layer: Convolutional, kept: Mask) -> Mask:
    """Which of a convolution's input channels are kept (I,)."""
    return kept[graph.trace.reads[layer.index]]


def _slice_kernel(weight: Floats, out_keep: Mask, in_keep: Mask, groups: int) -> Floats:
    """weight (O, I/groups, K, K), cut group by group; a group that loses all its outputs is removed."""
    outputs, inputs = len(out_keep) // groups, len(in_keep) // groups
    if inputs == 1:
        return weight[out_keep]
    blocks = [
        weight[g * outputs : (g + 1) * outputs][out_keep[g * outputs : (g + 1) * outputs]][
            :, in_keep[g * inputs : (g + 1) * inputs]
        ]
        for g in range(groups)
    ]
    return np.ascontiguousarray(blocks[0] if groups == 1 else np.concatenate(blocks))
