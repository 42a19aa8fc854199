"""Constants of cut channels and removed blocks, absorbed by the convolutions that read them.

A channel with γ = 0 is act(β) everywhere. With k the constants that a convolution reads and
S = Σ_kernel W · k, its result before batch norm was larger by S: mean′ = mean − S, or bias′ = bias + S
without batch norm. Exact but for the border pixels of zero-padded convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from prune.darknet.activations import ACTIVATIONS, MIXING
from prune.darknet.layers import Convolutional, Gate, Head, Layer, Maxpool, Reorg, Route, Shortcut, Softmax, Upsample
from prune.darknet.shapes import Shape, input_shapes
from prune.darknet.walk import Domain, Passing, walk
from prune.darknet.weights import ConvParams, Weights
from prune.graph.blocks import ResidualBlock
from prune.graph.channels import ChannelGraph
from prune.graph.folds import pixel_sources
from prune.graph.freeze import unread_layers
from prune.graph.trace import is_depthwise
from prune.surgery.constant import Constant, interleaved, largest, nothing, regrouped
from prune.surgery.slice import input_keep

Array = NDArray[np.float64]
BATCH_NORM_EPSILON = 1e-5


class Absorbing(Domain[Constant]):
    """Carries constants through the network; `weights` are the mended parameters, `notes` what was lost."""

    def __init__(
        self, graph: ChannelGraph, weights: Weights, kept: NDArray[np.bool_], blocks: Sequence[ResidualBlock]
    ) -> None:
        self.graph, self.kept = graph, kept
        self.records = dict(weights.records)
        self.weights = Weights(weights.header, self.records)
        self.dead = {index for block in blocks for index in block.dead}
        self.replaced = {block.shortcut: block.skip for block in blocks if block.replaced}
        self.shared = {
            index
            for layer in graph.netdef.convolutions
            if layer.share is not None
            for index in (layer.share, layer.index)
        }
        self.read: list[Shape] = []
        self.notes: list[str] = []

    def image(self) -> Constant:
        return nothing(self.graph.netdef.net.channels)

    def convolution(self, layer: Convolutional, x: Constant) -> Constant:
        record = self.weights.conv(layer.owner)
        shift = _shift(record, x.value, layer.groups)
        if x.value.any():
            self._absorb(layer, record, shift)
        cut = ~self.kept[self.graph.trace.born(layer.index, layer.filters)]
        if layer.index in self.dead:
            cut = np.ones_like(cut)
        value, strength = record.bias.astype(np.float64), _own_strength(record)
        if is_depthwise(layer, len(x.value)):
            value, strength = _inherited(record, shift, strength, x.strength)
        else:
            alive = ~input_keep(self.graph, layer, self.kept) & np.isnan(x.strength)
            self._note(layer, alive.any(), f"it reads {int(alive.sum())} cut channels that no γ makes constant")
        constant = cut & ~np.isnan(strength)
        if layer.activation in MIXING:
            constant &= constant.all()
        lives = layer.index in self.dead and not constant.all()
        self._note(layer, lives, "ends a removed block without a γ; what it computed is lost")
        value = np.where(constant, ACTIVATIONS[layer.activation](value), 0.0)
        return Constant(value, np.where(constant, strength, np.nan))

    def _absorb(self, layer: Convolutional, record: ConvParams, shift: Array) -> None:
        if layer.index in self.shared:
            self._note(layer, shift.any(), "its floats are shared (share_index), so that a shift it reads is lost")
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
        self._note(layer, value[~constant].any(), f"activation={layer.activation} passes no shift")
        return Constant(np.where(constant, ACTIVATIONS[layer.activation](value), 0.0), strength)

    def _replace(self, layer: Shortcut, shift: Array) -> None:
        """The floats of the depthwise convolution in the place of a removed shortcut: factor of the skip and shift."""
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
        """The product is constant where one factor is the constant 0, or both are constant: equally dead.

        Otherwise it counts as 0: a constant times what varies, or a shift of a kept channel.
        """
        both = before.strength == source.strength
        lost = ~both & (_weaker(before, source) != 0)
        self._note(layer, lost.any(), f"{int(lost.sum())} cut or shifted channels behind it are taken as 0")
        strength = np.fmin(before.strength, source.strength)
        value = ACTIVATIONS[layer.activation](np.where(both, before.value * source.value, 0.0))
        return Constant(np.where(np.isnan(strength), 0.0, value), strength)

    def reorg(self, layer: Reorg, x: Constant) -> Constant:
        cells = layer.stride**2
        if not (x.value.any() or np.isfinite(x.strength).any()):
            return nothing(len(x.value) // cells if layer.reverse else len(x.value) * cells)
        if layer.kind == "reorg3d":
            return Constant(np.tile(x.value, cells), np.tile(x.strength, cells))
        if layer.reverse:
            mixed, differs = interleaved(x, len(x.value) // cells)
        else:
            mixed, differs = regrouped(x, pixel_sources(layer.stride, *self._map_of(layer)))
        self._note(layer, differs.any(), f"{int(differs.sum())} outputs mix different constants; their mean is kept")
        return mixed

    def passing(self, layer: Passing, x: Constant) -> Constant:
        match layer:
            case Upsample():
                return Constant(x.value * layer.scale, x.strength)
            case Maxpool() if layer.depth:
                pooled, lost = largest(x, layer.depth)
                self._note(layer, lost.any(), f"{int(lost.sum())} channels lose shifts that differ")
                return pooled
            case Softmax():
                self._note(layer, x.value.any(), "passes no shift")
                return Constant(np.zeros_like(x.value), x.strength)
        return x

    def head(self, layer: Head, x: Constant) -> Constant:
        self._note(layer, x.value.any(), "a shift reaches the head and is lost")
        return x

    def output(self, layer: Layer, x: Constant) -> None:
        """A layer whose output leaves the network."""
        self._note(layer, x.value.any(), "a shift reaches this output of the network and is lost")

    def _map_of(self, layer: Layer) -> tuple[int, int]:
        """Height and width of what a layer reads, at the cfg's image size."""
        self.read = self.read or input_shapes(self.graph.netdef)
        return self.read[layer.index].height, self.read[layer.index].width

    def _note(self, layer: Layer, lost: bool | np.bool_, what: str) -> None:
        if lost:
            self.notes.append(f"layer {layer.index} [{layer.kind}]: {what}; fine-tuning must make up for it")


def absorb_constants(
    graph: ChannelGraph, weights: Weights, kept: NDArray[np.bool_], blocks: Sequence[ResidualBlock]
) -> tuple[Weights, tuple[str, ...]]:
    """Weights of the original shapes whose means and biases hold the constants of what will go, and notes.

    kept (ids,) bool as of `ChannelGraph.kept_ids`. Arrays keep their dtype; untouched ones are shared.
    """
    domain = Absorbing(graph, weights, kept, blocks)
    carried = walk(graph.netdef, domain)
    for layer in unread_layers(graph.netdef):
        domain.output(layer, carried[layer.index])
    return domain.weights, tuple(domain.notes)


def _own_strength(record: ConvParams) -> Array:
    """|γ| (O,); NaN without batch norm."""
    if record.gamma is None:
        return np.full(len(record.bias), np.nan)
    return np.abs(record.gamma.astype(np.float64))


def _inherited(record: ConvParams, shift: Array, own: Array, before: Array) -> tuple[Array, Array]:
    """Value before the activation and strength of depthwise channels that are dead.

    By the γ of their own they are β; by that of their input they are what the kernel makes of its constant.
    """
    before = np.repeat(before, len(own) // len(before))
    by_input = ~np.isnan(before) & ~(own <= before)
    return np.where(by_input, _normalised(record, shift), record.bias), np.fmin(own, before)


def _weaker(before: Constant, source: Constant) -> Array:
    """The value of the factor that makes a product constant; of kept channels the shifts of either."""
    first, second = (np.where(np.isnan(x.strength), np.inf, x.strength) for x in (before, source))
    weaker = np.where(first <= second, before.value, source.value)
    kept = np.isnan(before.strength) & np.isnan(source.strength)
    return np.where(kept, np.abs(before.value) + np.abs(source.value), weaker)


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


def _normalised(record: ConvParams, x: Array) -> Array:
    """What batch norm, or the bias where there is none, makes of constants x (O,)."""
    if record.gamma is None or record.mean is None or record.var is None:
        return x + record.bias
    return record.gamma * (x - record.mean) / np.sqrt(record.var.astype(np.float64) + BATCH_NORM_EPSILON) + record.bias
