"""`NetDef` and `Weights` → an ONNX model, and from its file back to what it says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, helper

from prune import __version__
from prune.darknet.layers import Layer
from prune.darknet.netdef import NetDef, format_netdef
from prune.darknet.walk import walk
from prune.errors import FileError
from prune.export.decode import add_detections
from prune.export.layers import OnnxDomain, Value
from prune.export.metadata import KEY, ExportedInfo, format_info, head_info, parse_info
from prune.export.operators import Graph, layer_name, tensor_header
from prune.export.settings import BATCH, DETECTIONS, IR_VERSION, OPSET
from prune.export.source import Source
from prune.export.wire import write_model
from prune.files.reading import read_bytes
from prune.plan.types import digest


def export_network(source: Source) -> ModelProto:
    """The network as an ONNX model in memory; `write_network` needs less of it.

    Input: `images` (batch, channels, height, width) in [0, 1]. Outputs: the raw map of each head, named by kind and
    layer (of a network without heads the output of its last layer), or with `decode` what `add_detections` describes.
    Raises CfgError where a layer does not take images of that size.
    """
    graph = _graph(source)
    for name, values in graph.tensors.items():
        tensor = tensor_header(name, values)
        tensor.raw_data = values.tobytes()
        graph.proto.initializer.append(tensor)
    return graph.model


def write_network(file: BinaryIO, source: Source) -> None:
    """Write the network as an ONNX file: the bytes are those of `export_network`, up to their order.

    Raises CfgError where a layer does not take images of that size.
    """
    graph = _graph(source)
    write_model(file, graph.model, graph.tensors)


def output_layers(netdef: NetDef) -> tuple[Layer, ...]:
    """The layers whose values are the raw outputs: the heads, or without any the last layer."""
    return netdef.heads or netdef.layers[-1:]


def output_names(netdef: NetDef, decode: bool) -> tuple[str, ...]:
    """The names of the outputs, in their order."""
    return (DETECTIONS,) if decode else tuple(map(layer_name, output_layers(netdef)))


def exported_info(source: Source) -> ExportedInfo:
    """What the file will say about itself."""
    netdef, settings = source.netdef, source.settings
    return ExportedInfo(
        version=__version__,
        digest=digest(netdef, source.weights),
        cfg=format_netdef(netdef),
        width=source.size[0],
        height=source.size[1],
        channels=netdef.net.channels,
        batch=settings.fixed_batch,
        letterbox=netdef.net.letter_box,
        decoded=settings.decode,
        folded=settings.fold_bn,
        outputs=output_names(netdef, settings.decode),
        heads=tuple(map(head_info, netdef.heads)),
        names=source.names,
    )


def read_exported(path: Path | str) -> ExportedInfo:
    """What an exported file says about itself. Raises FileError where it is not one of this project."""
    try:
        model = onnx.load_model_from_string(read_bytes(path))
    except DecodeError as cause:
        raise FileError(path, None, "is not an ONNX file, or is truncated; export the network again") from cause
    return parse_info({entry.key: entry.value for entry in model.metadata_props}, path)


def _graph(source: Source) -> Graph:
    netdef, settings = source.netdef, source.settings
    graph = Graph(settings.fixed_batch or BATCH)
    values = walk(netdef, OnnxDomain(graph, netdef, source.weights, source.size, settings.fold_bn))
    if settings.decode:
        add_detections(graph, [(head, values[head.index]) for head in netdef.heads], source.size)
    else:
        _add_raw(graph, netdef, values)
    _describe(graph.model, source)
    return graph


def _add_raw(graph: Graph, netdef: NetDef, values: Sequence[Value]) -> None:
    for layer in output_layers(netdef):
        value = values[layer.index]
        graph.output(value.name, layer_name(layer), value.shape)


def _describe(model: ModelProto, source: Source) -> None:
    """Everything besides the graph's nodes and tensors."""
    model.ir_version = IR_VERSION
    model.opset_import.append(helper.make_opsetid("", OPSET))
    model.producer_name, model.producer_version = KEY, __version__
    model.graph.name = Path(source.netdef.path).stem.encode("ascii", "replace").decode() or KEY
    model.metadata_props.add(key=KEY, value=format_info(exported_info(source)))
