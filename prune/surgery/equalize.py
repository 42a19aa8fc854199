"""γ of one size: an exact rescaling of each channel, so that a threshold over all layers compares like with like.

Where an activation is positively homogeneous (f(a·x) = a·f(x) for a > 0: linear, relu, leaky, …) a channel can be
written a times smaller (γ/a, β/a) if whatever reads it multiplies its kernel by a: the network computes the same
(Neyshabur et al. 2015, "Path-SGD", section 2: "rescaling equivalent" networks). A negative γ changes its sign together
with its own kernel and mean, whatever the activation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from prune.darknet.layers import Convolutional, Gate, Layer, Shortcut, Softmax
from prune.darknet.records import ConvParams, Weights
from prune.graph.channels import ChannelGraph
from prune.graph.freeze import unread_layers
from prune.graph.trace import Ids, tied_slots

Array = NDArray[np.float64]
HOMOGENEOUS = frozenset({"linear", "leaky", "revleaky", "relu", "relie", "ramp"})
"""Activations with f(a·x) = a·f(x) for each a > 0."""
FLOOR = 0.05
"""Of the layer's median |γ|: smaller γ are divided by this much only, since what is nearly dead should stay so."""


@dataclass(frozen=True, slots=True)
class Equalized:
    """`weights` that compute the same as before. factors (ids,): what each channel was divided by.

    `left`: of each layer that can be pruned and whose γ kept their size, why.
    """

    weights: Weights
    factors: Array
    left: dict[int, str]


def equalize(graph: ChannelGraph, weights: Weights) -> Equalized:
    """Divides the γ of each channel that can be cut by its |γ|; of channels that shortcuts add by their largest.

    So the largest |γ| of each such set is 1, except where it was nearly 0 (FLOOR). What is read by something that does
    not pass a factor on stays as it is. Arrays keep their dtype.
    """
    labels = tied_slots(graph.trace, kinds=("add", "fold"))
    reasons = dict(reversed(list(_reasons(graph))))  # the first reason that is found counts
    factors = _factors(graph, weights, labels, np.isin(labels, labels[np.array(sorted(reasons), np.int64)]))
    records = dict(weights.records)
    for layer in graph.netdef.owners:
        records[layer.index] = _rescaled(graph, layer, weights.conv(layer.index), factors)
    first = {int(labels[label]): reason for label, reason in reasons.items()}
    left = dict[int, str]()
    for index in graph.prunable_layers:
        for label in labels[graph.trace.outputs[index]]:
            if int(label) in first:
                left.setdefault(index, first[int(label)])
    return Equalized(Weights(weights.header, records), factors, left)


def _reasons(graph: ChannelGraph) -> Iterator[tuple[int, str]]:
    """(id, why its size cannot change) of the channels that something does not pass a factor on of."""
    trace, netdef = graph.trace, graph.netdef
    for layer in netdef.layers:
        for ids, reason in _fixed_at(graph, layer):
            yield from ((int(number), reason) for number in ids)
    for index, ids in trace.heads:
        yield from ((int(number), f"feeds the head at layer {index}") for number in ids)
    for layer in unread_layers(netdef):
        yield from (
            (int(number), f"is an output of the network (layer {layer.index})") for number in trace.outputs[layer.index]
        )


def _fixed_at(graph: ChannelGraph, layer: Layer) -> Iterator[tuple[Ids, str]]:
    """What one layer fixes: ids, and why."""
    trace = graph.trace
    ids, read = trace.outputs[layer.index], trace.reads[layer.index]
    match layer:
        case Convolutional():
            if layer.activation not in HOMOGENEOUS:
                yield ids, f"activation={layer.activation} of layer {layer.index} passes no factor on"
            for index in () if layer.share is None else (layer.share, layer.index):
                shared = np.concatenate([trace.reads[index], trace.outputs[index]])
                yield shared, f"layers {layer.share} and {layer.index} use the same floats (share_index)"
        case Shortcut() if layer.activation not in HOMOGENEOUS:
            yield ids, f"activation={layer.activation} of layer {layer.index} passes no factor on"
        case Gate():
            yield read, f"is the gate of layer {layer.index}"
            if layer.activation not in HOMOGENEOUS:
                yield ids, f"activation={layer.activation} of layer {layer.index} passes no factor on"
        case Softmax():
            yield read, f"feeds the softmax at layer {layer.index}"


def _factors(graph: ChannelGraph, weights: Weights, labels: Ids, fixed: NDArray[np.bool_]) -> Array:
    """What each id is divided by: 1 where its size is `fixed` or nothing of its set has a γ."""
    largest = np.zeros(graph.trace.total)
    for index in graph.prunable_layers:
        gamma = weights.conv(index).gamma
        assert gamma is not None
        size = np.abs(gamma.astype(np.float64))
        own = graph.trace.ids_of(index, len(size))
        np.maximum.at(largest, labels[own], np.maximum(size, FLOOR * np.median(size)))
    factors = largest[labels]
    factors[(factors == 0) | fixed] = 1.0
    return factors


def _rescaled(graph: ChannelGraph, layer: Convolutional, record: ConvParams, factors: Array) -> ConvParams:
    """One convolution's floats: γ (positive from now on) and β divided, the kernel multiplied by what it reads."""
    own = factors[graph.trace.ids_of(layer.index, layer.filters)]
    read = _read_factors(graph, layer, factors, record.weight.shape[1])
    sign = np.ones_like(own)
    if record.gamma is not None and layer.index in graph.prunable_layers:
        sign = np.where(record.gamma < 0, -1.0, 1.0)
    if (own == 1).all() and (read == 1).all() and (sign == 1).all():
        return record
    rows = sign if record.gamma is not None else 1 / own
    weight = record.weight * read[:, :, None, None] * rows[:, None, None, None]
    changed = {"weight": weight, "bias": record.bias / own}
    if record.gamma is not None and record.mean is not None:
        changed |= {"gamma": record.gamma * sign / own, "mean": record.mean * sign}
    return replace(
        record, **{name: np.ascontiguousarray(array, record.weight.dtype) for name, array in changed.items()}
    )


def _read_factors(graph: ChannelGraph, layer: Convolutional, factors: Array, per_group: int) -> Array:
    """(O, I/groups): what each weight of a kernel is multiplied by."""
    read = factors[graph.trace.reads[layer.index]].reshape(layer.groups, per_group)
    return np.repeat(read, layer.filters // layer.groups, axis=0)
