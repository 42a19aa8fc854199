"""A cfg for another number of classes: what changes, what is removed, and that all else is unchanged."""

from __future__ import annotations

import pytest

from prune.darknet.netdef import format_netdef, parse_netdef
from prune.surgery.classes import adapt_classes

CFG = (
    "[net]\nwidth=32\nheight=32\n\n[convolutional]\nfilters=16\nactivation=linear\n\n"
    "[yolo]\nmask=0,1\nanchors=4,5, 6,7\nclasses=3\ncounters_per_class = 9, 8,7\nmap=coco.map\njitter=.3\n"
    "counters_per_class=1,1,1\n"
)


def test_what_belongs_to_the_old_classes_is_removed_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    text = format_netdef(adapt_classes(parse_netdef(CFG, "a.cfg"), 5))
    assert text == (
        "[net]\nwidth=32\nheight=32\n\n[convolutional]\nfilters=20\nactivation=linear\n\n"
        "[yolo]\nmask=0,1\nanchors=4,5, 6,7\nclasses=5\njitter=.3\n"
    )
    assert [record.getMessage() for record in caplog.records] == [
        "a.cfg:13: counters_per_class belongs to the 3 old classes and was removed",
        "a.cfg:14: map belongs to the 3 old classes and was removed",
    ]


def test_an_equal_number_of_classes_leaves_the_cfg_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    assert format_netdef(adapt_classes(parse_netdef(CFG, "a.cfg"), 3)) == CFG
    assert not caplog.records


def test_a_head_that_is_added_to_has_its_last_line_ended() -> None:
    text = "[net]\n[convolutional]\nfilters=6\n[yolo]\nanchors=1,1\nclasses=1\nmap=a.map"
    adapted = format_netdef(adapt_classes(parse_netdef(text), 2))
    assert adapted == "[net]\n[convolutional]\nfilters=7\n[yolo]\nanchors=1,1\nclasses=2\n"
