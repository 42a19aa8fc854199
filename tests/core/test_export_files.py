"""Exported files: their structure, what they say about themselves, and what is refused; their numbers need torch."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")

import onnx

from prune import __version__
from prune.darknet.netdef import NetDef, format_netdef, parse_netdef, read_netdef
from prune.darknet.records import Header, Weights
from prune.errors import CfgError, FileError, UsageError
from prune.export import source as source_module
from prune.export.build import export_network, exported_info, read_exported, write_network
from prune.export.metadata import KEY, ExportedInfo, format_info, parse_info
from prune.export.settings import DYNAMIC, IR_VERSION, OPSET, ExportSettings
from prune.export.source import Source
from prune.plan.types import digest
from tests.exports import quick_weights
from tests.section_cfgs import NET, SECTIONS, conv, network
from tests.shared import REPOSITORY
from tests.strategies import as_float32, examples, networks, tame_weights

HEAD = "[yolo]\nmask=0,1\nanchors=3,4, 5,6\nclasses=1\nnum=2\nscale_x_y=1.1\n"
PLAIN = parse_netdef(NET + conv(4, 3, "leaky") + conv(12, batch_normalize=0) + HEAD, "plain.cfg")


def plain(netdef: NetDef = PLAIN, **settings: object) -> Source:
    weights = as_float32(tame_weights(netdef, 0))
    return Source(netdef, weights, ExportSettings(**settings))  # type: ignore[arg-type]


def operators(source: Source) -> list[str]:
    return [node.op_type for node in export_network(source).graph.node]


@given(networks(), st.sampled_from([1, 3, DYNAMIC]), st.booleans(), st.booleans())
@examples(30)
def test_a_random_network_is_a_valid_model_of_one_file(
    pair: tuple[NetDef, Weights], batch: int | str, decode: bool, fold: bool
) -> None:
    netdef = pair[0]
    settings = ExportSettings(batch=batch, decode=decode and bool(netdef.heads), fold_bn=fold)
    model = export_network(Source(netdef, as_float32(pair[1]), settings))
    onnx.checker.check_model(model, full_check=True)
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    names = [tensor.name for tensor in model.graph.initializer] + [o for node in model.graph.node for o in node.output]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", SECTIONS)
def test_shape_inference_finds_the_declared_outputs(name: str) -> None:
    netdef, weights = network(SECTIONS[name])
    model = export_network(Source(netdef, weights, ExportSettings(batch=2)))
    declared = [output.type for output in model.graph.output]
    del model.graph.output[:]
    for output in export_network(Source(netdef, weights, ExportSettings(batch=2))).graph.output:
        model.graph.output.add(name=output.name)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    assert [output.type for output in inferred.graph.output] == declared


def test_raw_outputs_are_named_by_layer_and_decoded_ones_are_one() -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / "toy.cfg")
    raw, decoded = (export_network(plain(netdef, decode=decode)).graph.output for decode in (False, True))
    assert [(output.name, shape_of(output)) for output in raw] == [
        ("yolo_15", [1, 14, 8, 8]),
        ("yolo_21", [1, 14, 16, 16]),
    ]
    assert [(output.name, shape_of(output)) for output in decoded] == [("detections", [1, 2 * (8 * 8 + 16 * 16), 7])]


def test_a_network_without_heads_has_its_last_layer_as_the_output() -> None:
    netdef = parse_netdef(NET + conv(4) + "[avgpool]\n[softmax]\n")
    (output,) = export_network(plain(netdef)).graph.output
    assert (output.name, shape_of(output)) == ("softmax_2", [1, 4, 1, 1])


def shape_of(value: object) -> list[int | str]:
    """The declared shape of an input or an output."""
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]  # type: ignore[attr-defined]


def test_a_dynamic_batch_is_a_symbol_in_the_input_and_in_the_outputs() -> None:
    graph = export_network(plain(batch=DYNAMIC)).graph
    assert [shape_of(value)[0] for value in (*graph.input, *graph.output)] == ["batch", "batch"]
    assert shape_of(export_network(plain(batch=3)).graph.input[0]) == [3, 3, 8, 8]


def test_every_batch_norm_is_folded_or_kept() -> None:
    assert "BatchNormalization" not in operators(plain())
    assert operators(plain(fold_bn=False)).count("BatchNormalization") == 1


def test_folding_is_computed_in_float64_and_rounded_once() -> None:
    source = plain()
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in export_network(source).graph.initializer}
    record = source.weights.conv(0)
    assert record.gamma is not None
    assert record.var is not None
    factor = record.gamma.astype(np.float64) / np.sqrt(record.var.astype(np.float64) + 1e-5)
    exact = (record.weight * factor[:, None, None, None]).astype(np.float32)
    assert np.array_equal(tensors["convolutional_0.weight"], exact)


def test_shared_floats_are_stored_once() -> None:
    netdef, weights = network(SECTIONS["shared convolution"])
    tensors = export_network(Source(netdef, weights, ExportSettings())).graph.initializer
    assert [t.name for t in tensors if t.name.endswith("weight")] == ["convolutional_0.weight"]


def test_only_operators_of_the_opset_are_used() -> None:
    model = export_network(plain())
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET)
    assert (model.producer_name, model.producer_version) == (KEY, __version__)


def written(path: Path, source: Source) -> Path:
    with path.open("wb") as file:
        write_network(file, source)
    return path


@given(networks(), st.booleans())
@examples(20)
def test_a_file_is_written_as_onnx_would_write_it(pair: tuple[NetDef, Weights], fold: bool) -> None:
    source = Source(pair[0], as_float32(pair[1]), ExportSettings(fold_bn=fold))
    write_network(file := BytesIO(), source)
    model = export_network(source)
    assert len(file.getvalue()) == model.ByteSize()
    assert onnx.load_model_from_string(file.getvalue()) == model


def test_a_file_says_what_it_was_made_from(tmp_path: Path) -> None:
    netdef = parse_netdef("# caf\udce9\n" + format_netdef(PLAIN), "plain.cfg")
    source = replace(plain(netdef, batch=DYNAMIC, fold_bn=False), size_wh=(64, 32), names=("ä",))
    info = read_exported(written(tmp_path / "a.onnx", source))
    assert info == exported_info(source)
    assert format_netdef(info.network("a.onnx")) == format_netdef(netdef)
    assert info.digest == digest(netdef, source.weights)
    assert (info.width, info.height, info.channels, info.batch, info.names) == (64, 32, 3, None, ("ä",))
    assert (info.letterbox, info.decoded, info.folded, info.outputs) == (False, False, False, ("yolo_2",))
    (head,) = info.heads
    assert (head.layer, head.kind, head.classes, head.anchors, head.mask) == (2, "yolo", 1, ((3, 4), (5, 6)), (0, 1))


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(FileError, match=r"a\.onnx: is not an ONNX file"):
        read_exported(tmp_path / "a.onnx")
    with pytest.raises(FileError, match=r"b\.onnx: no such file"):
        read_exported(tmp_path / "b.onnx")


INFO = exported_info(plain())


def changed(**fields: object) -> dict[str, str]:
    return {KEY: json.dumps(json.loads(format_info(INFO)) | fields)}


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({}, "was not exported by darknet-prune"),
        ({KEY: "{"}, "damaged"),
        ({KEY: "[]"}, "damaged"),
        ({KEY: '{"format": 1}'}, "damaged"),
        (changed(format=2), "another format than 1"),
        (changed(width="8"), "damaged"),
        (changed(batch="dynamic"), "damaged"),
        (changed(heads=[{"layer": 1}]), "damaged"),
        (changed(unknown=1), "damaged"),
    ],
)
def test_foreign_newer_or_damaged_metadata_is_refused(properties: dict[str, str], said: str) -> None:
    with pytest.raises(FileError, match=rf"a\.onnx: .*{said}"):
        parse_info(properties, "a.onnx")


def test_metadata_is_read_back_unchanged() -> None:
    assert parse_info(changed(), "a.onnx") == INFO
    assert isinstance(INFO, ExportedInfo)


@pytest.mark.parametrize("batch", [0, -1, "many"])
def test_a_batch_is_a_number_from_1_or_dynamic(batch: int | str) -> None:
    with pytest.raises(UsageError, match=f"--batch {batch} must be at least 1, or dynamic"):
        ExportSettings(batch=batch)


def test_more_than_two_gib_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2**31 - 2**25 < 4 * source_module.MOST_FLOATS < 2**31
    monkeypatch.setattr(source_module, "MOST_FLOATS", 10)
    with pytest.raises(CfgError, match=r"plain\.cfg: has .* at most 2 GiB; prune the network first"):
        plain()


def test_a_connected_layer_takes_one_image_size() -> None:
    netdef, weights = network(SECTIONS["connected"])
    with pytest.raises(CfgError, match=r"<text>:\d+: \[connected\] \(layer 1\) reads a map of 8x8, not 16x16"):
        export_network(Source(netdef, weights, ExportSettings(), (16, 16)))


def test_boxes_of_a_network_without_heads_are_refused() -> None:
    netdef = parse_netdef(NET + conv(4), "a.cfg")
    with pytest.raises(UsageError, match=r"--decode: a\.cfg has no detection head"):
        plain(netdef, decode=True)


def test_names_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"plain\.cfg has 1 classes, but there are 2 names"):
        Source(PLAIN, Weights(Header(), {}), ExportSettings(), names=("a", "b"))


def test_a_large_network_keeps_its_weights_bit_for_bit() -> None:
    netdef = read_netdef(REPOSITORY / "cfg" / "yolov3-nano.cfg")
    weights = quick_weights(netdef)
    model = export_network(Source(netdef, weights, ExportSettings(fold_bn=False)))
    tensors = {t.name: t.raw_data for t in model.graph.initializer}
    for layer in netdef.owners:
        assert tensors[f"convolutional_{layer.index}.weight"] == weights.conv(layer.index).weight.tobytes()
