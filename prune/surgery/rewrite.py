"""NetDef × plan → the pruned NetDef: filters, groups, and references that still mean the same layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.darknet.cfg import Section, parse_document
from prune.darknet.layers import IMAGE, Convolutional, Gate, Layer, Route, Shortcut
from prune.darknet.netdef import NetDef, from_sections
from prune.graph.blocks import ResidualBlock
from prune.graph.channels import ChannelGraph
from prune.graph.trace import is_depthwise
from prune.surgery.slice import input_keep


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The pruned NetDef. `index_map` maps each kept layer's old index to its new one."""

    netdef: NetDef
    index_map: dict[int, int]


def rewrite(graph: ChannelGraph, kept: NDArray[np.bool_], blocks: Sequence[ResidualBlock], path: str) -> Rewritten:
    """The cfg without cut channels (kept (ids,) bool) and without `blocks`.

    Relative references stay relative, absolute ones absolute. Where a removed block's reader would no
    longer stand right behind what it reads, a `[route]` takes the block's place.
    """
    rewriter = _Rewriter(graph.netdef, blocks)
    for layer in graph.netdef.layers:
        if layer.index not in rewriter.gone:
            rewriter.append(layer, _resized(graph, layer, kept))
    net = graph.netdef.net.section
    netdef = from_sections(graph.netdef.document.preamble, (net, *rewriter.sections), path)
    return Rewritten(netdef, rewriter.new_index)


class _Rewriter:
    def __init__(self, netdef: NetDef, blocks: Sequence[ResidualBlock]) -> None:
        self.gone = {index for block in blocks for index in block.layers}
        self.skip_of = {block.shortcut: block.skip for block in blocks}
        self.line_end = "\r\n" if netdef.net.section.lines[0].text.endswith("\r\n") else "\n"
        self.new_index: dict[int, int] = {}
        self.sections: list[Section] = []

    def append(self, layer: Layer, section: Section) -> None:
        """Adds a kept layer behind the ones before it."""
        if not isinstance(layer, Route):
            self._bring_before(self._target(layer.inputs[0]))
        for key, inputs in _references(layer):
            section = section.with_option(key, self._rewritten(layer, section.options[key].value, inputs))
        self.new_index[layer.index] = len(self.sections)
        self.sections.append(section)

    def _target(self, source: int) -> int:
        """The new index of what `source` was: a removed shortcut is its skip."""
        while source in self.skip_of:
            source = self.skip_of[source]
        return IMAGE if source == IMAGE else self.new_index[source]

    def _bring_before(self, target: int) -> None:
        here = len(self.sections)
        if target != here - 1:
            text = f"[route]\nlayers={target - here}\n\n".replace("\n", self.line_end)
            self.sections.extend(parse_document(text).sections)

    def _rewritten(self, layer: Layer, text: str, inputs: tuple[int, ...]) -> str:
        """`from` or `layers` with new numbers; the text itself where no number changed."""
        here = len(self.sections)
        old = [int(float(part)) for part in text.split("#")[0].split(";")[0].rstrip(",").split(",")]
        targets = [self._target(source) for source in inputs]
        new = [target - here if value < 0 else target for value, target in zip(old, targets, strict=True)]
        return text if new == old else ",".join(map(str, new))


def _references(layer: Layer) -> list[tuple[str, tuple[int, ...]]]:
    """The options of a layer that name other layers, and which they name."""
    match layer:
        case Route():
            return [("layers", layer.inputs)]
        case Shortcut() | Gate():
            return [("from", layer.inputs[1:])]
        case _:
            return []


def _resized(graph: ChannelGraph, layer: Layer, kept: NDArray[np.bool_]) -> Section:
    if not isinstance(layer, Convolutional):
        return layer.section
    out_keep = kept[graph.trace.born(layer.index, layer.filters)]
    section = layer.section if out_keep.all() else layer.section.with_option("filters", str(int(out_keep.sum())))
    inputs = input_keep(graph, layer, kept)
    if is_depthwise(layer, len(inputs)) and not inputs.all():
        section = section.with_option("groups", str(int(inputs.sum())))
    return section
