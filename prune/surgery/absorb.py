"""Constants of cut channels and removed blocks, absorbed by the convolutions that read them.

A channel with γ = 0 is act(β) everywhere. With k the constants that a convolution reads and
S = Σ_kernel W · k, its result before batch norm was larger by S: mean′ = mean − S, or bias′ = bias + S
without batch norm. Exact except at the border pixels of zero-padded convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from prune.darknet.activations import ACTIVATIONS, MIXING
from prune.darknet.layers import Convolutional, Gate, Head, Layer, Maxpool, Reorg, Route, Shortcut, Softmax, Upsample
from prune.darknet.records import ConvParams, Weights
from prune.darknet.shapes import Shape, input_shapes
from prune.darknet.walk import Channelwise, Domain, walk
from prune.graph.blocks import ResidualBlock
from prune.graph.channels import ChannelGraph
from prune.graph.folds import pixel_sources
from prune.graph.freeze import unread_layers
from prune.graph.trace import is_depthwise
from prune.surgery.constant import Constant, interleaved, max_over_depth, no_constant, reorg
from prune.surgery.losses import Flags, Loss, Place
from prune.surgery.slice import kept_inputs
from prune.surgery.strength import inherited, own_strength, weaker

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Absorbed:
    """`weights` of the original shapes whose means and biases contain the constants of what will be removed.

    `constants`: of each layer's output; `losses`: what could not be kept exact.
    """

    weights: Weights
    constants: tuple[Constant, ...]
    losses: tuple[Loss, ...]


class Absorbing(Domain[Constant]):
    """Carries constants through the network; `weights` are the adjusted parameters, `losses` what was lost."""

    def __init__(
        self, graph: ChannelGraph, weights: Weights, kept: NDArray[np.bool_], blocks: Sequence[ResidualBlock]
    ) -> None:
        self.graph, self.kept = graph, kept
        self.records = dict(weights.records)
        self.weights = Weights(weights.header, self.records)
        self.last_convolutions = {index for block in blocks for index in block.last_convolutions}
        self.bodies = {index for block in blocks for index in block.body}
        self.replaced = {block.shortcut: block.skip for block in blocks if block.replaced}
        self.shared = {
            index
            for layer in graph.netdef.convolutions
            if layer.share is not None
            for index in (layer.share, layer.index)
        }
        self.read: list[Shape] = []
        self.losses: list[Loss] = []

    def image(self) -> Constant:
        return no_constant(self.graph.netdef.net.channels)

    def convolution(self, layer: Convolutional, x: Constant) -> Constant:
        record = self.weights.conv(layer.owner)
        shift = _shift(record, x.value, layer.groups)
        if x.value.any():
            self._absorb(layer, record, shift)
        kept = self.kept[self.graph.trace.ids_of(layer.index, layer.filters)]
        cut = np.ones_like(kept) if layer.index in self.last_convolutions else ~kept
        value, strength = record.bias.astype(np.float64), own_strength(record)
        if is_depthwise(layer, len(x.value)):
            value, strength = inherited(record, shift, strength, x.strength)
        elif layer.index not in self.bodies:  # a removed layer has nothing to lose
            alive = ~kept_inputs(self.graph, layer, self.kept) & np.isnan(x.strength)
            self._lose(layer, alive, f"it reads {int(alive.sum())} cut channels that no γ makes constant", "read")
        constant = cut & ~np.isnan(strength)
        if layer.activation in MIXING:
            constant &= constant.all()
        value = np.where(constant, ACTIVATIONS[layer.activation](value), 0.0)
        strength = np.where(constant, strength, np.nan)
        if layer.index in self.last_convolutions:
            self._lose(layer, ~constant, "ends a removed block without a γ; what it computed is lost")
            strength[~constant & kept] = np.inf  # the constant 0 from here on, so that what is added to it passes
        return Constant(value, strength)

    def _absorb(self, layer: Convolutional, record: ConvParams, shift: Array) -> None:
        if layer.index in self.shared:
            self._lose(
                layer, shift != 0, "its floats are shared (share_index), so that a shift it reads cannot be absorbed"
            )
        else:
            self.records[layer.index] = _absorbed(record, shift)

    def shortcut(self, layer: Shortcut, inputs: Sequence[Constant]) -> Constant:
        value, strength = np.zeros(len(inputs[0].value)), inputs[0].strength.copy()
        for other, factor in zip(inputs, self._factors(layer), strict=True):
            common = min(len(value), len(other.value))
            value[:common] += other.value[:common] * factor[:common]
            strength[:common] = np.maximum(strength[:common], other.strength[:common])
        constant = ~np.isnan(strength)
        if layer.index in self.replaced:
            self._replace(layer, value)
            value = np.where(constant, value, 0.0)
        if layer.activation == "linear":
            return Constant(value, strength)
        self._lose(layer, ~constant & (value != 0), f"activation={layer.activation} does not preserve a shift")
        return Constant(np.where(constant, ACTIVATIONS[layer.activation](value), 0.0), strength)

    def _replace(self, layer: Shortcut, shift: Array) -> None:
        """The floats of the depthwise convolution that replaces a removed shortcut: factor of the skip and shift."""
        factors = self._factors(layer)[layer.inputs.index(self.replaced[layer.index])]
        dtype = next(iter(self.records.values())).arrays()[0].dtype
        weight = np.broadcast_to(factors, shift.shape).astype(dtype).reshape(-1, 1, 1, 1)
        self.records[layer.index] = ConvParams(weight, shift.astype(dtype))

    def _factors(self, layer: Shortcut) -> Array:
        """What the inputs of a shortcut are multiplied by: (inputs, 1) or (inputs, C)."""
        if layer.weights == "none":
            return np.ones((len(layer.inputs), 1))
        factors = self.weights.shortcut(layer.index).factors(layer.normalization)
        return factors.reshape(len(layer.inputs), -1)

    def route(self, layer: Route, inputs: Sequence[Constant]) -> Constant:
        def part(arrays: list[Array]) -> Array:
            return np.concatenate([np.split(x, layer.groups)[layer.group_id] for x in arrays])

        return Constant(part([x.value for x in inputs]), part([x.strength for x in inputs]))

    def gate(self, layer: Gate, before: Constant, source: Constant) -> Constant:
        """The product is constant where one factor is the constant 0, or both are constant with equal strength.

        Otherwise it counts as 0: a constant times what varies, or a shift of a kept channel.
        """
        both = before.strength == source.strength
        lost = ~both & (weaker(before, source) != 0)
        self._lose(layer, lost, f"{int(lost.sum())} cut or shifted channels after it are taken as 0")
        strength = np.fmin(before.strength, source.strength)
        value = ACTIVATIONS[layer.activation](np.where(both, before.value * source.value, 0.0))
        return Constant(np.where(np.isnan(strength), 0.0, value), strength)

    def reorg(self, layer: Reorg, x: Constant) -> Constant:
        cells = layer.stride**2
        if not (x.value.any() or np.isfinite(x.strength).any()):
            return no_constant(len(x.value) // cells if layer.reverse else len(x.value) * cells)
        if layer.kind == "reorg3d":
            return Constant(np.tile(x.value, cells), np.tile(x.strength, cells))
        if layer.reverse:
            mixed, differs = interleaved(x, len(x.value) // cells)
        else:
            mixed, differs = reorg(x, pixel_sources(layer.stride, *self._map_of(layer)))
        self._lose(layer, differs, f"{int(differs.sum())} outputs mix different constants; their mean is kept")
        return mixed

    def channelwise(self, layer: Channelwise, x: Constant) -> Constant:
        match layer:
            case Upsample():
                return Constant(x.value * layer.scale, x.strength)
            case Maxpool() if layer.depth:
                pooled, lost = max_over_depth(x, layer.depth)
                self._lose(layer, lost, f"{int(lost.sum())} channels lose shifts that differ")
                return pooled
            case Softmax():
                self._lose(layer, x.value != 0, "does not preserve a shift")
                return Constant(np.zeros_like(x.value), x.strength)
        return x

    def head(self, layer: Head, x: Constant) -> Constant:
        self._lose(layer, x.value != 0, "a bias shift reaches the head and cannot be absorbed", "end")
        return x

    def output(self, layer: Layer, x: Constant) -> None:
        """A layer whose output leaves the network."""
        self._lose(layer, x.value != 0, "a bias shift reaches this output of the network and cannot be absorbed", "end")

    def _map_of(self, layer: Layer) -> tuple[int, int]:
        """Height and width of what a layer reads, at the cfg's image size."""
        self.read = self.read or input_shapes(self.graph.netdef)
        return self.read[layer.index].height, self.read[layer.index].width

    def _lose(self, layer: Layer, channels: Flags, what: str, place: Place = "written") -> None:
        if channels.any():
            self.losses.append(Loss(layer, place, channels, what))


def absorb_constants(
    graph: ChannelGraph, weights: Weights, kept: NDArray[np.bool_], blocks: Sequence[ResidualBlock]
) -> Absorbed:
    """The constants of what will be removed, absorbed. kept (ids,) bool as of `ChannelGraph.kept_ids`.

    Arrays keep their dtype; untouched ones are shared with `weights`.
    """
    domain = Absorbing(graph, weights, kept, blocks)
    carried = walk(graph.netdef, domain)
    for layer in unread_layers(graph.netdef):
        domain.output(layer, carried[layer.index])
    return Absorbed(domain.weights, tuple(carried), tuple(domain.losses))


def _shift(record: ConvParams, constants: Array, groups: int) -> Array:
    """S (O,): what constants (I,) add to each output before batch norm, away from the borders."""
    outputs, per_group = record.weight.shape[:2]
    if not constants.any():
        return np.zeros(outputs)
    read = constants.reshape(groups, per_group)
    used = np.flatnonzero(read.any(axis=0))
    kernel = record.weight[:, used].sum(axis=(2, 3), dtype=np.float64).reshape(groups, outputs // groups, -1)
    shift: Array = np.einsum("goi,gi->go", kernel, read[:, used]).ravel()
    return shift


def _absorbed(record: ConvParams, shift: Array) -> ConvParams:
    if record.mean is None:
        return replace(record, bias=(record.bias + shift).astype(record.bias.dtype))
    return replace(record, mean=(record.mean - shift).astype(record.mean.dtype))
