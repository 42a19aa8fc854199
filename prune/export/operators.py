"""Nodes and tensors of an ONNX graph, added one after the other under names that say which layer they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from prune.darknet.layers import Layer

LOWEST, LARGEST = float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)
Array = NDArray[Any]
_TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}


class Graph:
    """The graph of `model` while it is built, and apart from it `tensors`: its weights and constants by name.

    The first dimension of what is computed is the batch: `batch` images or, where that is a word, any number. No
    constant contains it.
    """

    def __init__(self, batch: int | str) -> None:
        self.model, self.batch = ModelProto(), batch
        self.proto = self.model.graph
        self.tensors: dict[str, Array] = {}
        self._names = Counter[str]()

    def input(self, name: str, shape: Sequence[int]) -> None:
        """Declare an input (batch, *shape)."""
        self.proto.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, (self.batch, *shape)))

    def output(self, value: str, name: str, shape: Sequence[int]) -> None:
        """Declare an output (batch, *shape): what is called `value` so far."""
        self.proto.node.append(helper.make_node("Identity", [value], [name], name=name))
        self.proto.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, (self.batch, *shape)))

    def of(self, layer: Layer) -> Operators:
        """What adds the nodes of a layer."""
        return Operators(self, layer_name(layer))

    def node(self, prefix: str, op: str, inputs: Sequence[str], attributes: dict[str, Any]) -> str:
        """Add a node with one output; returns the name of both."""
        name = f"{prefix}/{op}"
        self._names[name] += 1
        name += f"_{self._names[name]}" if self._names[name] > 1 else ""
        self.proto.node.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def tensor(self, name: str, values: Array) -> str:
        """Store an array of float32 or int64 under `name`, unless one is stored there already; returns the name."""
        self.tensors.setdefault(name, values)
        return name


class Operators:
    """Adds nodes under the name of a layer: of each method the result is the name of what the node computes."""

    def __init__(self, graph: Graph, prefix: str) -> None:
        self.graph, self.prefix = graph, prefix

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Any operator with one output."""
        return self.graph.node(self.prefix, op, inputs, attributes)

    def tensor(self, name: str, values: Array) -> str:
        """An array of float32 or int64, named within the layer."""
        return self.graph.tensor(f"{self.prefix}.{name}", values)

    def scalar(self, value: float) -> str:
        """A float32 number; equal ones are stored once."""
        return self.graph.tensor(f"number_{value!r}", np.array(value, np.float32))

    def integers(self, *values: int) -> str:
        """A vector of int64, such as a shape; equal ones are stored once."""
        return self.graph.tensor("integers_" + "_".join(map(str, values)), np.array(values, np.int64))

    def reshape(self, x: str, *shape: int) -> str:
        """x (N, …) → (N, *shape); one of `shape` may be −1."""
        return self.add("Reshape", x, self.integers(0, *shape))

    def slice(self, x: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        """x[start:stop:step] along `axis`."""
        bounds = (self.integers(value) for value in (start, stop, axis, step))
        return self.add("Slice", x, *bounds)

    def pad_end(self, x: str, rank: int, axis: int, count: int, value: float) -> str:
        """x of `rank` dimensions with `count` times `value` added at the end of `axis`."""
        pads = [0] * (2 * rank)
        pads[rank + axis] = count
        return self.add("Pad", x, self.integers(*pads), self.scalar(value), mode="constant")

    def clip(self, x: str, low: float = LOWEST, high: float = LARGEST) -> str:
        """x within [low, high]; both bounds are always written, as some readers need them."""
        return self.add("Clip", x, self.scalar(low), self.scalar(high))

    def times(self, x: str, factor: float) -> str:
        """x · factor."""
        return self.add("Mul", x, self.scalar(factor))

    def plus(self, x: str, term: float) -> str:
        """x + term."""
        return self.add("Add", x, self.scalar(term))

    def join(self, parts: Sequence[str], axis: int) -> str:
        """The parts one after the other along `axis`; a single one as it is."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=axis)


def layer_name(layer: Layer) -> str:
    """`convolutional_12`: the section's kind and the layer's index, from 0 without [net]."""
    return f"{layer.kind}_{layer.index}"


def tensor_header(name: str, values: Array) -> TensorProto:
    """A tensor of the graph without its values."""
    return TensorProto(name=name, data_type=_TYPES[values.dtype], dims=values.shape)
