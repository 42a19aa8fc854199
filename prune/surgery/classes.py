"""A cfg for another number of classes: `classes`, the heads' `filters` and anchors; all else byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from prune.darknet.cfg import Section
from prune.darknet.layers import Convolutional, Head
from prune.darknet.netdef import NetDef, from_sections
from prune.errors import UsageError


def adapt_classes(
    netdef: NetDef, classes: int, anchors: Sequence[float] | None = None, path: str | None = None
) -> NetDef:
    """The network with heads for `classes` classes, and other anchors (w, h, w, h, … in the unit of its cfg).

    Raises UsageError where there is no head, or not as many anchors as before; CfgError where a head
    does not stand behind a convolution.
    """
    if classes < 1:
        raise UsageError(f"--classes {classes}: must be at least 1")
    if not netdef.heads:
        raise UsageError(f"{netdef.path}: has no detection head to adapt")
    sections = [layer.section for layer in netdef.layers]
    for head in netdef.heads:
        source = netdef.layers[head.inputs[0]] if head.inputs[0] >= 0 else None
        if not isinstance(source, Convolutional):
            raise netdef.error(head, "stands behind no convolution, whose filters could be set")
        filters = str(head.boxes * (head.entries + classes))
        sections[source.index] = sections[source.index].with_option("filters", filters)
        sections[head.index] = _adapted_head(head, classes, anchors)
    net = netdef.net.section
    return from_sections(netdef.document.preamble, (net, *sections), path or netdef.path)


def _adapted_head(head: Head, classes: int, anchors: Sequence[float] | None) -> Section:
    section = head.section.with_option("classes", str(classes))
    if anchors is None:
        return section
    if len(anchors) != 2 * len(head.anchors):
        raise UsageError(f"--anchors: {len(anchors)} numbers given, the cfg has {len(head.anchors)} pairs w,h")
    if min(anchors) <= 0:
        raise UsageError("--anchors: widths and heights must be positive")
    return section.with_option("anchors", ",".join(f"{value:g}" for value in anchors))
