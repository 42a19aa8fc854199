"""A cfg for another number of classes: `classes`, the heads' `filters` and anchors; all else byte for byte."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prune.darknet.cfg import Section
from prune.darknet.layers import Convolutional, Head
from prune.darknet.netdef import NetDef, from_sections
from prune.errors import UsageError

log = logging.getLogger(__name__)
OF_THE_CLASSES = ("counters_per_class", "map", "names")
"""Options of a head that contain or name one thing per class: with another count of classes Darknet would stop, or
use those of other classes."""


def adapt_classes(
    netdef: NetDef, classes: int, anchors: Sequence[float] | None = None, path: str | None = None
) -> NetDef:
    """The network with heads for `classes` classes, and other anchors (w, h, w, h, … in the unit of its cfg).

    Options that belong to the old classes (OF_THE_CLASSES) are removed and logged where the count changes. Raises
    UsageError where there is no head, or not as many anchors as before; CfgError where a head does not read a
    convolution.
    """
    if classes < 1:
        raise UsageError(f"--classes {classes}: must be at least 1")
    if not netdef.heads:
        raise UsageError(f"{netdef.path}: has no detection head to adapt")
    sections = [layer.section for layer in netdef.layers]
    for head in netdef.heads:
        source = netdef.layers[head.inputs[0]] if head.inputs[0] >= 0 else None
        if not isinstance(source, Convolutional):
            raise netdef.error(head, "does not read a convolution whose filters could be set")
        filters = str(head.boxes * (head.entries + classes))
        sections[source.index] = sections[source.index].with_option("filters", filters)
        kept = head.section if head.classes == classes else _without_old_classes(head, netdef.path)
        sections[head.index] = _adapted_head(head, kept.with_option("classes", str(classes)), anchors)
    net = netdef.net.section
    return from_sections(netdef.document.preamble, (net, *sections), path or netdef.path)


def _without_old_classes(head: Head, path: str) -> Section:
    section = head.section
    for key in OF_THE_CLASSES:
        if key in section.options:
            line = section.options[key].number
            log.warning("%s:%d: %s belongs to the %d old classes and was removed", path, line, key, head.classes)
            section = section.without_option(key)
    return section


def _adapted_head(head: Head, section: Section, anchors: Sequence[float] | None) -> Section:
    if anchors is None:
        return section
    if len(anchors) != 2 * len(head.anchors):
        raise UsageError(f"--anchors: {len(anchors)} numbers given, the cfg has {len(head.anchors)} pairs w,h")
    if min(anchors) <= 0:
        raise UsageError("--anchors: widths and heights must be positive")
    return section.with_option("anchors", ",".join(f"{value:g}" for value in anchors))
