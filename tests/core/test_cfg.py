"""Cfg text ↔ sections: lossless, read as Darknet reads it, and clear about what is wrong."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prune.darknet.cfg import format_document, parse_document
from prune.darknet.netdef import NetDef, format_netdef, parse_netdef, read_netdef
from prune.errors import CfgError
from tests.strategies import examples, netdefs, randoms
from tests.untidy import dressed

NET = "[net]\nwidth=32\nheight=32\n"
CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"


@given(netdefs(), randoms)
@examples(60)
def test_a_cfg_is_written_back_byte_for_byte_however_untidy(netdef: NetDef, random: Random) -> None:
    text = dressed(format_netdef(netdef), random)
    untidy = parse_netdef(text)
    assert format_netdef(untidy) == text
    assert meaning(untidy) == meaning(netdef)


def meaning(netdef: NetDef) -> list[dict[str, object]]:
    """What the layers mean, whatever their sections look like."""
    return [_without_section(layer) for layer in netdef.layers]


def _without_section(layer: object) -> dict[str, object]:
    names = [name for kind in type(layer).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(layer, name) for name in names if name != "section"}


@given(st.text(alphabet="[]net=con v\n\r#;\t,-1é\x00", max_size=60))
@examples(200)
def test_any_text_is_either_refused_or_written_back(text: str) -> None:
    try:
        document = parse_document(text)
    except CfgError:
        return
    assert format_document(document) == text


def test_bytes_that_are_not_utf8_survive(tmp_path: Path) -> None:
    path = tmp_path / "latin.cfg"
    path.write_bytes(NET.encode() + b"# gr\xf6\xdfe\n" + CONV.encode())
    assert format_netdef(read_netdef(path)).encode("utf-8", "surrogateescape") == path.read_bytes()


def test_the_first_of_duplicate_keys_is_used_with_a_warning() -> None:
    netdef = parse_netdef(NET + CONV + "filters=9\n", "net.cfg")
    assert netdef.convolutions[0].filters == 4
    assert netdef.warnings == ("net.cfg:9: duplicate key 'filters' in [convolutional]; Darknet uses the first",)


def test_a_comment_after_a_number_is_a_warning_and_after_a_word_an_error() -> None:
    netdef = parse_netdef(NET + CONV.replace("filters=4", "filters=4 # few"))
    assert netdef.convolutions[0].filters == 4
    assert "comment after filters=4" in netdef.warnings[0]
    with pytest.raises(CfgError, match=r"<text>:8: .*its own line"):
        parse_netdef(NET + CONV.replace("leaky", "leaky # x"))


def test_an_unknown_key_is_kept_with_a_warning() -> None:
    netdef = parse_netdef(NET + CONV + "colour=7\n")
    assert "unknown option 'colour'" in netdef.warnings[0]
    assert format_netdef(netdef).endswith("colour=7\n")


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "net.cfg: ", "no \\[section\\]"),
        ("width=3\n", "net.cfg:1: ", "before the first"),
        (NET, "net.cfg:1: ", "no layers"),
        (CONV, "net.cfg:1: ", "must be \\[net\\]"),
        (NET + "[lstm]\n", "net.cfg:4: ", "\\[lstm\\] is not supported: recurrent networks"),
        (NET + "[convolutional\n", "net.cfg:4: ", "is not a section header"),
        (NET + "just words\n", "net.cfg:4: ", "is neither an option"),
        (NET + "[convolutional]\nfilters=many\n", "net.cfg:5: ", "'many' is not a number"),
        (NET + "[convolutional]\nfilters=2.5\n", "net.cfg:5: ", "whole number"),
        (NET + "[convolutional]\nfilters=0\n", "net.cfg:5: ", "at least 1"),
        (NET + "[convolutional]\nfilters=nan\n", "net.cfg:5: ", "'nan' is not a number"),
        (NET + "[convolutional]\nfilters=6\ngroups=4\n", "net.cfg:6: ", "does not divide"),
        (NET + "[convolutional]\nactivation=lrelu\n", "net.cfg:5: ", "lrelu is unknown"),
        (NET + "[convolutional]\nxnor=1\n", "net.cfg:5: ", "not supported"),
        (NET + CONV + "[shortcut]\nactivation=linear\n", "net.cfg:9: ", "needs from="),
        (NET + CONV + "[shortcut]\nfrom=-3\n", "net.cfg:10: ", "points before the first layer"),
        (NET + CONV + "[shortcut]\nfrom=1\n", "net.cfg:10: ", "points to layer 1"),
        (NET + CONV + "[shortcut]\nfrom=\n", "net.cfg:9: ", "needs from="),
        (NET + CONV + "[shortcut]\nfrom=0,,0\n", "net.cfg:10: ", "'' is not a number"),
        (NET + CONV + "[shortcut]\nfrom=-1\nweights_type=each\n", "net.cfg:11: ", "one of none, per_feature"),
        (NET + CONV + "[route]\nlayers=-1,5\n", "net.cfg:10: ", "points to layer 5"),
        (NET + CONV + "[route]\nlayers=-1.5\n", "net.cfg:10: ", "whole number"),
        (NET + CONV + "[route]\nlayers=-1\ngroups=2\ngroup_id=2\n", "net.cfg:12: ", "below groups"),
        (NET + CONV + "[scale_channels]\nfrom=-1,-1\n", "net.cfg:10: ", "one layer"),
        (NET + CONV + "[yolo]\nclasses=1\n", "net.cfg:9: ", "anchors"),
        (NET + CONV + "[yolo]\nanchors=1,2\nmask=1\n", "net.cfg:11: ", "mask"),
        (NET + CONV + "[dropout]\nprobability=1\n", "net.cfg:10: ", "below 1"),
    ],
)
def test_a_fault_is_named_with_file_and_line(text: str, where: str, what: str) -> None:
    with pytest.raises(CfgError, match=what) as caught:
        parse_netdef(text, "net.cfg")
    assert str(caught.value).startswith(where)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("size\u00a0=3", "U+00A0 (no-break space)"),
        ("size=\u00a03", "U+00A0 (no-break space)"),
        ("learning_rate=0.1\u3000", "U+3000 (ideographic space)"),
        ("si\u200bze=3", "U+200B (zero width space)"),
        ("\ufeffsize=3", "U+FEFF (zero width no-break space)"),
        ("size\uff1d3", "U+FF1D (fullwidth equals sign, not =)"),
        ("size=\uff13", "U+FF13 (fullwidth digit three, not 3)"),
        ("\uff3bmaxpool\uff3d", "U+FF3B (fullwidth left square bracket, not [)"),
        ("[maxpool\u00a0]", "U+00A0 (no-break space)"),
        ("\u00a0# size=3", "U+00A0 (no-break space)"),
        ("size=3\x0c", "U+000C (control character)"),
        ("size=3\udca0", "byte A0 (a no-break space in Latin-1)"),
    ],
)
def test_a_blank_that_darknet_would_not_drop_is_named(line: str, what: str) -> None:
    with pytest.raises(CfgError) as caught:
        parse_netdef(NET + "[convolutional]\n" + line + "\n", "net.cfg")
    message = f"net.cfg:5: Darknet reads {what} as part of the word; retype this line in plain ASCII"
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "line", ["#\u00a0a note", "; \uff1d", "size=3 #\u3000three", "gr\u00f6\u00dfe=3", "note=\u8f6f\u4ef6"]
)
def test_any_character_may_be_in_a_comment_and_letters_may_be_everywhere(line: str) -> None:
    assert parse_netdef(NET + "[convolutional]\n" + line + "\n").convolutions


def test_a_missing_cfg_is_named(tmp_path: Path) -> None:
    with pytest.raises(CfgError, match=r"none\.cfg: no such file"):
        read_netdef(tmp_path / "none.cfg")


def test_setting_an_option_changes_nothing_else() -> None:
    text = "[net]\r\nwidth = 32 # px\r\n\r\n[convolutional]\r\nfilters=3"
    netdef = parse_netdef(text)
    assert format_netdef(netdef.with_net_option("width", "64")) == text.replace("32", "64")
    added = format_netdef(netdef.with_net_option("letter_box", "1"))
    assert added == text.replace("# px\r\n", "# px\r\nletter_box=1\r\n")
    assert netdef.layers[0].section.with_option("size", "1").lines[-1].text == "size=1\n"
