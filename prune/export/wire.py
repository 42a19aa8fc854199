"""Writes a model tensor by tensor: protobuf's own writer would hold all weights in memory several times.

A protobuf message is its fields, one after the other, each a key and a value; the value of bytes or of a message begins
with its length (https://protobuf.dev/programming-guides/encoding). onnx.proto defines the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from onnx import ModelProto, TensorProto

from prune.export.operators import Array, tensor_header

_LENGTH_DELIMITED = 2
_GRAPH, _INITIALIZER, _RAW_DATA = (
    ModelProto.DESCRIPTOR.fields_by_name["graph"].number,
    ModelProto.DESCRIPTOR.fields_by_name["graph"].message_type.fields_by_name["initializer"].number,
    TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number,
)


def write_model(file: BinaryIO, model: ModelProto, tensors: Mapping[str, Array]) -> None:
    """Write `model` with `tensors` as the initializers of its graph, which has none."""
    graph = model.graph.SerializeToString()
    heads = {name: _tensor_head(name, values) for name, values in tensors.items()}
    size = len(graph) + sum(len(head) + tensors[name].nbytes for name, head in heads.items())
    around = ModelProto()
    around.CopyFrom(model)
    around.ClearField("graph")
    file.write(around.SerializeToString() + _key(_GRAPH, size) + graph)
    for name, head in heads.items():
        file.write(head)
        file.write(_little_endian(tensors[name]).data)


def _tensor_head(name: str, values: Array) -> bytes:
    """All of an initializer that comes before its values."""
    header: bytes = tensor_header(name, values).SerializeToString() + _key(_RAW_DATA, values.nbytes)
    return _key(_INITIALIZER, len(header) + values.nbytes) + header


def _key(field: int, length: int) -> bytes:
    """What precedes a field of so many bytes."""
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first; the eighth is set in all but the last."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def _little_endian(values: Array) -> Array:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
