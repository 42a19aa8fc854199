"""Typed layers: Darknet's defaults, absolute inputs, and shapes that fit or are refused."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given

from prune.darknet.layers import Convolutional, Maxpool, Yolo
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef, write_netdef
from prune.darknet.shapes import Shape, _Shapes, input_shapes, kernel_shapes, largest_stride, shapes
from prune.errors import CfgError, PlanError
from tests.builder import Builder
from tests.shared import REPOSITORY
from tests.strategies import examples, netdefs, randoms

NET = "[net]\nwidth=32\nheight=32\n"
CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"


@given(randoms)
@examples(60)
def test_shapes_are_those_the_builder_counted(random: Random) -> None:
    builder = Builder(random)
    netdef = parse_netdef(builder.network())
    assert [(shape.channels, shape.height) for shape in shapes(netdef)] == builder.outputs


@given(netdefs())
@examples(40)
def test_every_layer_reads_earlier_ones_and_knows_its_consumers(netdef: NetDef) -> None:
    consumers = netdef.consumers()
    for layer in netdef.layers:
        assert all(-1 <= source < layer.index for source in layer.inputs)
        assert all(layer.index in consumers[source] for source in layer.inputs if source >= 0)


def test_defaults_are_those_of_darknet() -> None:
    text = NET + "[convolutional]\n[maxpool]\nstride=2\n[yolo]\nanchors=1,2\n"
    conv, pool, head = parse_netdef(text).layers
    assert isinstance(conv, Convolutional)
    assert isinstance(pool, Maxpool)
    assert isinstance(head, Yolo)
    assert (conv.filters, conv.size, conv.stride_x, conv.pad, conv.groups) == (1, 1, 1, 0, 1)
    assert (conv.activation, conv.batch_normalize) == ("logistic", False)
    assert (pool.size, pool.stride_x, pool.padding) == (2, 2, 1)
    assert (head.classes, head.mask, head.ignore_thresh, head.nms_kind) == (20, (0,), 0.5, "default")


def test_dilation_spreads_the_window_and_its_padding() -> None:
    netdef = parse_netdef(NET + CONV + "dilation=2\n")
    assert netdef.convolutions[0].pad == 2
    assert shapes(netdef)[0] == Shape(4, 32, 32)


def test_relative_and_absolute_references_name_the_same_layer() -> None:
    relative = parse_netdef(NET + CONV + CONV + "[route]\nlayers=-1,-2\n[shortcut]\nfrom=-3\n")
    absolute = parse_netdef(NET + CONV + CONV + "[route]\nlayers=1, 0\n[shortcut]\nfrom=0\n")
    assert [layer.inputs for layer in relative.layers] == [layer.inputs for layer in absolute.layers]
    assert relative.layers[3].inputs == (2, 0)


@pytest.mark.parametrize(
    ("size", "stride", "padding", "side"), [(2, 1, None, 32), (2, 2, None, 16), (5, 1, None, 32), (3, 2, 0, 15)]
)
def test_a_max_pool_is_as_large_as_in_darknet(size: int, stride: int, padding: int | None, side: int) -> None:
    option = "" if padding is None else f"padding={padding}\n"
    netdef = parse_netdef(NET + CONV + f"[maxpool]\nsize={size}\nstride={stride}\n{option}")
    assert shapes(netdef)[1] == Shape(4, side, side)


@pytest.mark.parametrize(
    ("layers", "what"),
    [
        (CONV + CONV.replace("pad=1", "pad=1\nstride=2") + "[shortcut]\nfrom=0\n", "different spatial sizes"),
        (CONV + CONV.replace("pad=1", "pad=1\nstride=2") + "[route]\nlayers=0,1\n", "different spatial sizes"),
        (CONV.replace("=4", "=5") + "[route]\nlayers=-1\ngroups=2\n", "does not divide the 5 channels"),
        (CONV + CONV.replace("filters=4", "filters=6\ngroups=3"), "does not divide its 4 input channels"),
        (CONV + "[yolo]\nanchors=1,2\nclasses=1\n", "reads 4 channels, but needs .* = 6"),
        ("[convolutional]\nsize=40\nactivation=linear\n", "its output is empty"),
        (CONV + CONV + "[scale_channels]\nfrom=-2\n", "cannot join"),
        (CONV + CONV.replace("=4", "=3") + "[sam]\nfrom=-2\n", "cannot join"),
    ],
)
def test_layers_that_do_not_fit_are_refused_with_their_line(layers: str, what: str) -> None:
    netdef = parse_netdef(NET + layers, "net.cfg")
    with pytest.raises(CfgError, match=what) as caught:
        shapes(netdef)
    assert caught.value.line == netdef.layers[-1].section.line or "maps" in what


def test_the_image_size_of_a_call_overrides_the_cfg() -> None:
    netdef = parse_netdef(NET + CONV)
    assert shapes(netdef, 64, 48) == [Shape(4, 48, 64)]
    assert input_shapes(netdef, 64, 48) == [Shape(3, 48, 64)]


def test_asking_for_a_convolution_of_another_layer_is_an_error() -> None:
    netdef = parse_netdef(NET + CONV + "[route]\nlayers=-1\n")
    for index in (1, 2, -1):
        with pytest.raises(PlanError, match="not a convolution"):
            netdef.convolution(index)


@pytest.mark.parametrize(("name", "stride"), [("yolov3", 32), ("yolov3-tiny", 32), ("yolov3-nano", 16), ("toy", 8)])
def test_the_largest_stride_is_that_of_the_coarsest_map(name: str, stride: int) -> None:
    assert largest_stride(read_netdef(REPOSITORY / "cfg" / f"{name}.cfg")) == stride


def test_shapes_are_computed_once_per_size_and_no_caller_can_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = list[tuple[int, int]]()
    start = _Shapes.__init__

    def counted(self: _Shapes, netdef: NetDef, width: int, height: int) -> None:
        entered.append((width, height))
        start(self, netdef, width, height)

    monkeypatch.setattr(_Shapes, "__init__", counted)
    netdef = parse_netdef("[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=4\nactivation=linear\n")
    shapes(netdef).clear()
    kernel_shapes(netdef).clear()
    assert shapes(netdef) == shapes(netdef, 32, 32) == [Shape(4, 32, 32)]
    assert kernel_shapes(netdef) == {0: (4, 3, 1, 1)}
    assert shapes(netdef, 64, 32) == [Shape(4, 32, 64)]
    assert entered == [(32, 32), (64, 32)]


def test_computed_shapes_are_not_part_of_a_network() -> None:
    text = "[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=4\nactivation=linear\n"
    netdef, other = parse_netdef(text), parse_netdef(text)
    shapes(netdef)
    assert netdef == other
    assert "Shape(" not in repr(netdef)
    assert shapes(netdef.with_net_option("width", "64")) == [Shape(4, 32, 64)]


def test_a_network_whose_layers_do_not_fit_is_refused_each_time() -> None:
    netdef = parse_netdef("[net]\nwidth=8\nheight=8\n[reorg3d]\nstride=3\n")
    for _ in range(2):
        with pytest.raises(CfgError, match="stride=3 does not divide"):
            shapes(netdef)


def test_a_written_cfg_is_read_back_byte_for_byte(tmp_path: Path) -> None:
    text = "# mine\r\n[net]\r\nwidth=32\r\nheight=32\r\n[maxpool]\r\nsize=2 \r\n"
    write_netdef(tmp_path / "new" / "a.cfg", parse_netdef(text))
    assert (tmp_path / "new" / "a.cfg").read_bytes() == text.encode()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.cfg"]
