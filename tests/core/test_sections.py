"""Every kind of section: what is read, which shape it has, and what is refused in one line with its place."""

from __future__ import annotations

import pytest

from prune.darknet.layers import (
    Connected,
    Convolutional,
    Dropout,
    Gate,
    GaussianYolo,
    Layer,
    LocalAvgpool,
    Maxpool,
    Region,
    Reorg,
    Shortcut,
    Softmax,
    Yolo,
)
from prune.darknet.netdef import NetDef, format_netdef, parse_netdef
from prune.darknet.shapes import Shape, kernel_shapes, shapes
from prune.errors import CfgError

NET = "[net]\nwidth=32\nheight=16\n"
CONV = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"


def network(layers: str) -> NetDef:
    return parse_netdef(NET + layers, "net.cfg")


def last(layers: str) -> tuple[Layer, Shape]:
    """The last layer and its output."""
    netdef = network(layers)
    return netdef.layers[-1], shapes(netdef)[-1]


@pytest.mark.parametrize("kind", ["connected", "conn"])
def test_a_connected_layer_is_a_kernel_over_its_whole_input(kind: str) -> None:
    netdef = network(CONV + f"[{kind}]\noutput=5\nbatch_normalize=1\nactivation=relu\n")
    layer = netdef.layers[1]
    assert isinstance(layer, Connected)
    assert (layer.filters, layer.batch_normalize, layer.activation, layer.inputs) == (5, True, "relu", (0,))
    assert shapes(netdef) == [Shape(8, 16, 32), Shape(5, 1, 1)]
    assert kernel_shapes(netdef) == {0: (8, 3, 3, 3), 1: (5, 8, 16, 32)}


@pytest.mark.parametrize("kind", ["softmax", "soft"])
def test_softmax_keeps_the_shape_and_divides_it_into_groups(kind: str) -> None:
    layer, shape = last(CONV + f"[{kind}]\ngroups=4\ntemperature=2\nnoloss=1\n")
    assert isinstance(layer, Softmax)
    assert (layer.groups, layer.temperature, shape) == (4, 2.0, Shape(8, 16, 32))


@pytest.mark.parametrize("kind", ["local_avgpool", "local_avg"])
def test_a_local_average_pads_as_a_max_pool_does(kind: str) -> None:
    layer, shape = last(CONV + f"[{kind}]\nsize=3\nstride=2\n")
    assert isinstance(layer, LocalAvgpool)
    assert (layer.size, layer.stride_x, layer.stride_y, layer.padding) == (3, 2, 2, 2)
    assert shape == Shape(8, 8, 16)


def test_a_max_pool_over_channels_keeps_the_map() -> None:
    layer, shape = last(CONV + "[maxpool]\nmaxpool_depth=1\nout_channels=3\nsize=2\nstride=2\n")
    assert isinstance(layer, Maxpool)
    assert (layer.depth, shape) == (3, Shape(3, 16, 32))
    plain, _ = last(CONV + "[maxpool]\nout_channels=3\nsize=2\nstride=2\n")
    assert isinstance(plain, Maxpool)
    assert plain.depth == 0


@pytest.mark.parametrize(
    ("kind", "options", "shape"),
    [
        ("reorg", "stride=2", Shape(32, 8, 16)),
        ("reorg3d", "stride=4", Shape(128, 4, 8)),
        ("reorg", "stride=2\nreverse=1", Shape(2, 32, 64)),
    ],
)
def test_reorg_moves_pixels_into_channels_or_back(kind: str, options: str, shape: Shape) -> None:
    layer, found = last(CONV + f"[{kind}]\n{options}\n")
    assert isinstance(layer, Reorg)
    assert (layer.kind, layer.reverse) == (kind, "reverse" in options)
    assert found == shape


def test_scale_wh_gates_pixels_instead_of_channels() -> None:
    gate = CONV.replace("filters=8", "filters=1")
    layer, shape = last(CONV + gate + "[scale_channels]\nfrom=-2\nscale_wh=1\n")
    assert isinstance(layer, Gate)
    assert (layer.scale_wh, layer.inputs, shape) == (True, (1, 0), Shape(8, 16, 32))


@pytest.mark.parametrize("kind", ["empty", "silence"])
def test_an_empty_section_passes_its_input_on(kind: str) -> None:
    layer, shape = last(CONV + f"[{kind}]\n")
    assert isinstance(layer, Dropout)
    assert (layer.probability, shape) == (0.0, Shape(8, 16, 32))


@pytest.mark.parametrize(
    ("options", "weights", "normalization"),
    [
        ("", "none", "none"),
        ("weights_normalization=relu", "none", "none"),
        ("weights_type=per_feature\nweights_normalization=relu", "per_feature", "relu"),
        ("weights_type=per_layer\nweights_normalization=avg_relu", "per_feature", "relu"),
        ("weights_type=per_channel\nweights_normalization=softmax", "per_channel", "softmax"),
        ("weights_type=per_channel", "per_channel", "none"),
    ],
)
def test_a_shortcut_knows_all_spellings_of_its_weights(options: str, weights: str, normalization: str) -> None:
    layer, _ = last(CONV + CONV + CONV + f"[shortcut]\nfrom=-2,0\n{options}\n")
    assert isinstance(layer, Shortcut)
    assert (layer.inputs, layer.weights, layer.normalization) == ((2, 1, 0), weights, normalization)


def test_a_gaussian_head_has_four_uncertainties_more() -> None:
    conv = CONV.replace("filters=8", "filters=22")
    layer, _ = last(conv + "[Gaussian_yolo]\nmask=1,0\nanchors=1,2, 3,4\nnum=2\nclasses=2\nuc_normalizer=.5\n")
    assert isinstance(layer, GaussianYolo)
    assert (layer.channels, layer.entries, layer.uc_normalizer) == (22, 9, 0.5)
    assert layer.masked_anchors == ((3.0, 4.0), (1.0, 2.0))


def test_a_region_uses_its_first_anchors() -> None:
    conv = CONV.replace("filters=8", "filters=14")
    layer, _ = last(conv + "[region]\nanchors=0.57273,.677385, 1.87,2.06, 9,9\nnum=2\nclasses=2\nsoftmax=1\n")
    assert isinstance(layer, Region)
    assert layer.masked_anchors == ((0.57273, 0.677385), (1.87, 2.06))
    assert (layer.softmax, layer.entries, layer.channels, layer.thresh) == (True, 5, 14, 0.5)


def test_a_mask_may_be_in_any_order_and_heads_differ_in_classes() -> None:
    netdef = network(
        CONV.replace("filters=8", "filters=12")
        + "[yolo]\nmask=2,0\nanchors=1,1, 2,2, 3,3\nnum=3\nclasses=1\n"
        + CONV.replace("filters=8", "filters=9")
        + "[yolo]\nmask=1\nanchors=1,1, 2.5,2.5, 3,3\nnum=3\nclasses=4\n"
    )
    first, second = netdef.heads
    assert isinstance(first, Yolo)
    assert (first.mask, first.masked_anchors) == ((2, 0), ((3.0, 3.0), (1.0, 1.0)))
    assert [head.classes for head in netdef.heads] == [1, 4]
    assert second.masked_anchors == ((2.5, 2.5),)
    assert len(shapes(netdef)) == 4


def test_strides_and_padding_may_differ_by_axis_and_key() -> None:
    layer, shape = last("[conv]\nfilters=4\nsize=5\npadding=1\nstride=2\nstride_y=4\nactivation=linear\n")
    assert isinstance(layer, Convolutional)
    assert (layer.stride_x, layer.stride_y, layer.pad) == (2, 4, 1)
    assert shape == Shape(4, 4, 15)


def test_dilation_does_not_change_a_kernel_of_one_pixel() -> None:
    layer, shape = last("[conv]\nfilters=4\nsize=1\npadding=1\ndilation=3\nactivation=linear\n")
    assert isinstance(layer, Convolutional)
    assert (layer.dilation, layer.pad, shape) == (1, 1, Shape(4, 18, 34))


def test_a_shared_kernel_names_the_layer_that_owns_it() -> None:
    conv = CONV.replace("activation", "batch_normalize=1\nactivation").replace("filters=8", "filters=3")
    netdef = network(conv + conv + "share_index=-1\n" + conv + "share_index=1\n")
    assert [layer.share for layer in netdef.convolutions] == [None, 0, 0]
    assert [layer.index for layer in netdef.owners] == [0]


@pytest.mark.parametrize("key", ["dontload", "dont_load"])
def test_a_layer_that_is_not_loaded_gives_a_warning(key: str) -> None:
    netdef = network(CONV + f"{key}=1\n")
    assert not netdef.convolutions[0].stored
    assert key in netdef.warnings[0]


def test_what_only_changes_training_is_kept_with_a_warning() -> None:
    netdef = network(CONV + "assisted_excitation=4000\nstopbackward=1\nonlyforward=1\n")
    assert len(netdef.warnings) == 1
    assert "net.cfg:9: assisted_excitation" in netdef.warnings[0]
    assert format_netdef(netdef).endswith("onlyforward=1\n")


def test_flipped_and_cross_batch_norm_are_read() -> None:
    layer, _ = last(CONV + "flipped=1\ncbn=1\n")
    assert isinstance(layer, Convolutional)
    assert (layer.flipped, layer.batch_normalize) == (True, True)


def test_untidy_values_are_read_as_darknet_reads_them() -> None:
    text = (
        "\ufeff[network]\r\nwidth = 6 4 # px\r\nheight=32.\r\n\r\n"
        "[convolutional]\r\n\tfilters = 14\r\nfilters=99\r\nsize=\r\nactivation = linear\r\n"
        "[yolo]\r\nmask = 1 , 0,\r\nanchors = 1.5,2 , 3,4.25,\r\nnum=2\r\nclasses=2\r\nrandom\t=1"
    )
    netdef = parse_netdef(text, "net.cfg")
    conv, head = netdef.layers
    assert isinstance(conv, Convolutional)
    assert isinstance(head, Yolo)
    assert (netdef.net.width, netdef.net.height, conv.filters, conv.size) == (64, 32, 14, 1)
    assert (head.mask, head.anchors) == ((1, 0), ((1.5, 2.0), (3.0, 4.25)))
    assert [warning.split(": ")[0] for warning in netdef.warnings] == [f"net.cfg:{line}" for line in (2, 7, 8, 11)]
    assert format_netdef(netdef) == text


def test_a_comma_after_the_last_reference_is_ignored_with_a_warning() -> None:
    netdef = network(CONV + CONV + CONV + "[shortcut]\nfrom=-2,\n[route]\nlayers = -1, 0,\n")
    assert [layer.inputs for layer in netdef.layers[3:]] == [(2, 1), (3, 0)]
    assert all("ends in a comma" in warning for warning in netdef.warnings)
    assert len(netdef.warnings) == 2


@pytest.mark.parametrize("kind", ["crnn", "rnn", "lstm", "conv_lstm", "gru", "history"])
def test_a_recurrent_network_is_refused_as_such(kind: str) -> None:
    with pytest.raises(CfgError, match=rf"^net\.cfg:4: \[{kind}\] is not supported: recurrent"):
        network(f"[{kind}]\noutput=4\n")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("route_lhalf", "; write [route] with groups=2 group_id=0 where it takes the first half"),
        ("se", "; write [avgpool], two [convolutional]"),
        ("SE", "; write [avgpool], two [convolutional]"),
        ("maxpool2d", "; write [maxpool]"),
        ("Conv2d", "; write [convolutional]"),
        ("deconvolutional", "; write [upsample] and a [convolutional]"),
        ("dropout2d", "; write [dropout]"),
        ("Upsample2D", "; write [upsample]"),
        ("YOLO", "; write [yolo]"),
        ("yolov3", "; write [yolo]"),
        ("max_pool", "; write [maxpool]"),
        ("convolutionnal", "; write [convolutional]"),
        ("cost", ": belongs to a classifier"),
        ("crop", ": belongs to a classifier"),
        ("iseg", ": belongs to instance segmentation"),
        ("captcha", ": belongs to a captcha reader"),
        ("transformer", "; supported are Gaussian_yolo, avg"),
    ],
)
def test_another_programs_section_is_translated_or_said_to_be_of_another_task(kind: str, what: str) -> None:
    with pytest.raises(CfgError) as caught:
        network(f"[{kind}]\n")
    assert str(caught.value).startswith(f"net.cfg:4: [{kind}] is not supported{what}")


@pytest.mark.parametrize(("counters", "fits"), [("7", False), ("1,2,3", True), ("1,2,3,", False), ("1,2,3,4", False)])
def test_counters_of_other_classes_give_a_warning(counters: str, fits: bool) -> None:
    netdef = network(CONV + f"[yolo]\nanchors=1,2\nclasses=3\ncounters_per_class={counters}\n")
    warnings = [warning for warning in netdef.warnings if "counters_per_class contains" in warning]
    assert len(warnings) == (0 if fits else 1)
    assert all(warning.startswith("net.cfg:12: ") for warning in warnings)


HEAD = "[yolo]\nanchors=1,2\nclasses=1\n"


@pytest.mark.parametrize(
    ("layers", "line", "what"),
    [
        ("[detection]\n", 4, "[detection] is not supported: belongs to YOLOv1 or a classifier"),
        ("[local]\n", 4, "[local] is not supported: belongs to YOLOv1 or a classifier"),
        ("[batchnorm]\n", 4, "[batchnorm] is not supported; set batch_normalize=1 in the [convolutional] before it"),
        ("[net]\n", 4, "[net] is only supported as the first"),
        ("[Convolutional]\n", 4, "is not supported; write [convolutional]"),
        ("[gaussian_yolo]\n", 4, "write [Gaussian_yolo]"),
        ("[convolutional] # first\n", 4, "write [convolutional] alone"),
        (CONV + "coordconv=1\n", 9, "coordconv=1 is not supported"),
        (CONV + "antialiasing=2\n", 9, "antialiasing=2 is not supported"),
        ("[maxpool]\nantialiasing=1\n", 5, "not supported"),
        ("[convolutional]\nfilters=1000000000\n", 5, "at most 1000000"),
        ("[convolutional]\nfilters=1_000\n", 5, "not a number"),
        ("[convolutional]\nfilters=1e3\n", 5, "whole number"),
        ("[convolutional]\nsize=" + "9" * 5000 + "\n", 5, "too large"),
        ("[maxpool]\nsize=2\nstride=2\npadding=4\n", 7, "outside the map"),
        ("[maxpool]\nactivation=leaky\n[convolutional]\nshare_index=0\n", 7, "not a convolution with an equal kernel"),
        (CONV + CONV + "share_index=1\n", 14, "points to layer 1"),
        (CONV + "[connected]\nactivation=hard_mish\n", 10, "in [convolutional] only"),
        (CONV + "[shortcut]\nfrom=-1\nactivation=normalize_channels\n", 11, "in [convolutional] only"),
        (CONV + "[shortcut]\nfrom=-1\nweights_normalization=l2\n", 11, "one of none, relu"),
        (CONV + "[shortcut]\nfrom=-1\nweights_type=per_layer\ndontload=1\n", 12, "dontload=1 is not supported"),
        (CONV + "[softmax]\ntree=a.tree\n", 10, "tree="),
        (CONV + "[softmax]\ntemperature=0\n", 10, "above 0"),
        (CONV + "[reorg3d]\nstride=2\nreverse=1\n", 11, "Darknet mixes up"),
        (CONV + "[region]\nanchors=1,2\ntree=a.tree\n", 11, "tree="),
        (CONV + "[region]\nanchors=1,2\nnum=2\n", 10, "needs as many anchors"),
        (CONV + "[region]\nanchors=1,2\ncoords=5\n", 11, "coords must be 4"),
        (CONV + "[Gaussian_yolo]\nanchors=1,2\nyolo_point=left_top\n", 11, "only yolo_point=center is supported"),
        (CONV + "[yolo]\nanchors=1,2,3\n", 10, "pairs w,h; found 3"),
        (CONV + "[yolo]\nanchors=1,2\nnum=3\n", 11, "lie within the 1 anchors"),
        ("[convolutional]\nactivation=\u2028\n", 5, "U+2028 (line separator) as part of the word"),
        ("[convolutional]\nactivation=\u263a\ud800\n", 5, "activation=\u263a? is unknown"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(layers: str, line: int, what: str) -> None:
    with pytest.raises(CfgError) as caught:
        network(layers)
    message = str(caught.value)
    assert what in message
    assert message.startswith(f"net.cfg:{line}: ") or what.startswith("lie within")
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    ("layers", "what"),
    [
        ("[connected]\noutput=4\n[convolutional]\nsize=3\n", "its output is empty"),
        (CONV + "[reorg]\nstride=3\n", "stride=3 does not divide its input of 8×16×32"),
        (CONV.replace("=8", "=6") + "[reorg]\nstride=2\n", "stride²=4 does not divide its 6 input channels"),
        (CONV + "[softmax]\ngroups=3\n", "groups=3 does not divide its input of 8×16×32"),
        (CONV + "[maxpool]\nmaxpool_depth=1\nout_channels=9\n", "out_channels=9 is more than its 8"),
        (CONV + CONV + "[scale_channels]\nfrom=-2\nscale_wh=1\n", "cannot join 8×16×32"),
        (CONV + CONV + "share_index=0\n", "shares the kernel of layer 0, 8×3×3×3, but needs 8×8×3×3"),
        (CONV + "[Gaussian_yolo]\nanchors=1,2\nclasses=1\n", "needs anchors·(9 + classes) = 1·10 = 10"),
        (CONV + "[upsample]\nstride=64\n" * 3, "numbers, more than 2,147,483,647"),
        (CONV + "[route]\nlayers=-1,-1\n" * 40, "more than"),
        ("[avgpool]\n" + "[route]\nlayers=-1,-1\n" * 40, "channels, more than 1,048,576"),
        ("[avgpool]\n[conv]\nfilters=1000000\n" + "[max]\n" * 9, "takes the network to 9,000,003 channels"),
        (CONV + "[connected]\noutput=600000\n", "weights, more than 1,000,000,000"),
    ],
)
def test_shapes_that_do_not_fit_or_are_absurd_are_refused(layers: str, what: str) -> None:
    netdef = network(layers)
    with pytest.raises(CfgError) as caught:
        shapes(netdef)
    assert what in str(caught.value)
    assert caught.value.line in {layer.section.line for layer in netdef.layers}


def test_a_text_beyond_any_cfg_is_refused_at_once() -> None:
    with pytest.raises(CfgError, match="characters, more than"):
        parse_netdef("#" * 600_000)
    with pytest.raises(CfgError, match=r"^net\.cfg:10004: contains 10,001 layers"):
        network("[max]\n" * 10_001)
