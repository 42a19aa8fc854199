"""Weights × kept channels → the weights of the pruned network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import IMAGE, Convolutional
from prune.darknet.weights import ConvParams, Floats
from prune.graph.channels import ChannelGraph

Keep = NDArray[np.bool_]


def slice_record(graph: ChannelGraph, layer: Convolutional, record: ConvParams, kept: Keep) -> ConvParams:
    """One convolution's record without the cut output and input channels. kept (ids,) bool."""
    out_keep = kept[graph.trace.born(layer.index, layer.filters)]
    in_keep = input_keep(graph, layer, kept)
    if out_keep.all() and in_keep.all():
        return record

    def cut(vector: Floats | None) -> Floats | None:
        return None if vector is None else vector[out_keep]

    weight = _slice_kernel(record.weight, out_keep, in_keep, layer.groups)
    return ConvParams(weight, record.bias[out_keep], cut(record.gamma), cut(record.mean), cut(record.var))


def input_keep(graph: ChannelGraph, layer: Convolutional, kept: Keep) -> Keep:
    """Which of a convolution's input channels stay (I,)."""
    source = layer.inputs[0]
    if source == IMAGE:
        return np.ones(graph.netdef.net.channels, bool)
    return kept[graph.trace.outputs[source]]


def _slice_kernel(weight: Floats, out_keep: Keep, in_keep: Keep, groups: int) -> Floats:
    """weight (O, I/groups, K, K), cut group by group; a group that loses all its outputs goes."""
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
