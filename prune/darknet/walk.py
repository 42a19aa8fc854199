"""One walk over the layers, many domains: shapes, channel ids, scores, constants, tensors.

A `Domain` says what each kind of layer does to a value; `walk` hands every layer the values of the
layers it reads. Nothing else in the project knows how layers are wired.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from prune.darknet.layers import (
    IMAGE,
    Avgpool,
    Convolutional,
    Dropout,
    Gate,
    Head,
    Layer,
    LocalAvgpool,
    Maxpool,
    Reorg,
    Route,
    Shortcut,
    Softmax,
    Upsample,
)
from prune.darknet.netdef import NetDef

T = TypeVar("T")
Channelwise = Upsample | Maxpool | LocalAvgpool | Avgpool | Dropout | Softmax


class Domain(ABC, Generic[T]):
    """What each kind of layer does to a value of type T."""

    @abstractmethod
    def image(self) -> T:
        """The network's input."""

    @abstractmethod
    def convolution(self, layer: Convolutional, x: T) -> T:
        """A convolution (a connected layer too) with its batch norm and activation."""

    @abstractmethod
    def shortcut(self, layer: Shortcut, inputs: Sequence[T]) -> T:
        """The sum of (the layer before, *from)."""

    @abstractmethod
    def route(self, layer: Route, inputs: Sequence[T]) -> T:
        """The concatenation of this route's part of each input."""

    @abstractmethod
    def gate(self, layer: Gate, before: T, source: T) -> T:
        """The product of the layer before and `from`."""

    @abstractmethod
    def reorg(self, layer: Reorg, x: T) -> T:
        """Space to depth, or back."""

    @abstractmethod
    def channelwise(self, layer: Channelwise, x: T) -> T:
        """Layers that keep the order of their channels: upsample, pooling, dropout, softmax."""

    def head(self, layer: Head, x: T) -> T:
        """A detection head; by default its input, unchanged."""
        return x


def walk(netdef: NetDef, domain: Domain[T]) -> list[T]:
    """The values of all layers, in order."""
    return [value for _, value in steps(netdef, domain, release=False)]


def steps(netdef: NetDef, domain: Domain[T], release: bool = True) -> Iterator[tuple[Layer, T]]:
    """Layer by layer (layer, value); with `release` a value is dropped after its last reader."""
    last_reader = {source: layer.index for layer in netdef.layers for source in layer.inputs}
    values: dict[int, T] = {IMAGE: domain.image()}
    for layer in netdef.layers:
        value = step(layer, domain, [values[source] for source in layer.inputs])
        if release:
            for source in set(layer.inputs):
                if last_reader[source] == layer.index:
                    del values[source]
        if not release or layer.index in last_reader:
            values[layer.index] = value
        yield layer, value


def step(layer: Layer, domain: Domain[T], inputs: Sequence[T]) -> T:
    """The value of one layer, from those of its inputs."""
    match layer:
        case Convolutional():
            return domain.convolution(layer, inputs[0])
        case Shortcut():
            return domain.shortcut(layer, inputs)
        case Route():
            return domain.route(layer, inputs)
        case Gate():
            return domain.gate(layer, *inputs)
        case Head():
            return domain.head(layer, inputs[0])
        case Reorg():
            return domain.reorg(layer, inputs[0])
        case Upsample() | Maxpool() | LocalAvgpool() | Avgpool() | Dropout() | Softmax():
            return domain.channelwise(layer, inputs[0])
    raise TypeError(f"no domain knows {type(layer).__name__}")
