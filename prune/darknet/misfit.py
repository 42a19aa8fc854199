"""Why weights do not fit a cfg: they may be of the same network with another number of classes."""

from __future__ import annotations

from math import prod

from prune.darknet.layers import Convolutional, Head
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import kernel_shapes

MOST_CLASSES = 100_000


def classes_that_fit(netdef: NetDef, floats: int, needed: int) -> int | None:
    """The number of classes with which the network would have `floats` floats, where it has `needed`; or None.

    Each class adds to each head's convolution a kernel and a bias (or the four vectors of batch norm) per anchor.
    """
    sources = [_source(netdef, head) for head in netdef.heads]
    counts = {head.classes for head in netdef.heads}
    found = [source for source in sources if source is not None]
    if len(counts) != 1 or len(found) < len(sources) or len({source.index for source in found}) < len(found):
        return None
    kernels, (classes,) = kernel_shapes(netdef), counts
    per_class = sum(
        head.boxes * (prod(kernels[source.index][1:]) + (4 if source.batch_normalize else 1))
        for head, source in zip(netdef.heads, found, strict=True)
    )
    more, rest = divmod(floats - needed, per_class)
    return classes + more if not rest and 1 <= classes + more <= MOST_CLASSES else None


def classes_phrase(netdef: NetDef, classes: int) -> str:
    """States that the count of floats is that of the network with other classes."""
    return f"the network has as many with {classes} classes, not {netdef.heads[0].classes}"


def _source(netdef: NetDef, head: Head) -> Convolutional | None:
    """The convolution whose filters are a head's, if it is one of its own floats."""
    layer = netdef.layers[head.inputs[0]] if head.inputs[0] >= 0 else None
    own = isinstance(layer, Convolutional) and layer.share is None
    return layer if own and isinstance(layer, Convolutional) else None
