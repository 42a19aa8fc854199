"""NetDef × plan → the pruned NetDef: filters, groups, and references that still mean the same layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prune.darknet.cfg import Section, parse_document
from prune.darknet.layers import IMAGE, Connected, Convolutional, Gate, Layer, Maxpool, Route, Shortcut
from prune.darknet.netdef import NetDef, from_sections
from prune.darknet.options import Options
from prune.graph.blocks import ResidualBlock
from prune.graph.channels import ChannelGraph
from prune.graph.trace import is_depthwise
from prune.surgery.slice import kept_inputs


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The pruned NetDef. `index_map` maps each kept layer's old index to its new one."""

    netdef: NetDef
    index_map: dict[int, int]


def rewrite(graph: ChannelGraph, kept: NDArray[np.bool_], blocks: Sequence[ResidualBlock], path: str) -> Rewritten:
    """The cfg without cut channels (kept (ids,) bool) and without `blocks`.

    Relative references stay relative, absolute ones absolute. Where a removed block's reader would no
    longer come right after what it reads, a `[route]` replaces the block; where its shortcut does more than add, a
    depthwise convolution.
    """
    rewriter = _Rewriter(graph.netdef, blocks)
    for layer in graph.netdef.layers:
        if layer.index not in rewriter.gone:
            if layer.index in rewriter.replaced:
                section = rewriter.section(_depthwise(layer, int(kept[graph.trace.outputs[layer.index]].sum())))
            else:
                section = _resized(graph, layer, kept)
            rewriter.append(layer, section)
    net = graph.netdef.net.section
    netdef = from_sections(graph.netdef.document.preamble, (net, *rewriter.sections), path)
    return Rewritten(netdef, rewriter.new_index)


class _Rewriter:
    def __init__(self, netdef: NetDef, blocks: Sequence[ResidualBlock]) -> None:
        self.gone = {index for block in blocks for index in block.layers}
        self.skip_of = {block.shortcut: block.skip for block in blocks if block.shortcut in block.layers}
        self.inputs_of = {block.shortcut: block.skips for block in blocks if block.shortcut not in block.layers}
        self.replaced = {block.shortcut for block in blocks if block.replaced}
        self.line_end = "\r\n" if netdef.net.section.lines[0].text.endswith("\r\n") else "\n"
        self.new_index: dict[int, int] = {}
        self.sections: list[Section] = []

    def append(self, layer: Layer, section: Section) -> None:
        """Appends a kept layer."""
        inputs = self.inputs_of.get(layer.index, layer.inputs)
        if not isinstance(layer, Route):
            self._bring_before(self._target(inputs[0]))
        for key, named in () if layer.index in self.replaced else self._references(layer, inputs):
            section = section.with_option(key, self._rewritten(layer, key, named))
        self.new_index[layer.index] = len(self.sections)
        self.sections.append(section)

    def section(self, text: str) -> Section:
        """A new section with the line ends of the cfg."""
        (section,) = parse_document(text.replace("\n", self.line_end)).sections
        return section

    def _target(self, source: int) -> int:
        """The new index of what `source` was: a removed shortcut is its skip."""
        while source in self.skip_of:
            source = self.skip_of[source]
        return IMAGE if source == IMAGE else self.new_index[source]

    def _bring_before(self, target: int) -> None:
        here = len(self.sections)
        if target != here - 1:
            self.sections.append(self.section(f"[route]\nlayers={target - here}\n\n"))

    def _references(self, layer: Layer, inputs: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
        """The options of a layer that name other layers, and which they name."""
        match layer:
            case Route():
                return [("layers", inputs)]
            case Shortcut() | Gate():
                return [("from", inputs[1:])]
            case Convolutional() if layer.share is not None:
                (value,) = _integers(layer, "share_index")
                named = layer.index + value if value < 0 else value
                return [("share_index", (layer.share if named in self.gone else named,))]
            case _:
                return []

    def _rewritten(self, layer: Layer, key: str, inputs: tuple[int, ...]) -> str:
        """`from` or `layers` with new numbers, relative or absolute as before; the text where none changed."""
        here, old = len(self.sections), _integers(layer, key)
        relative = [value < 0 for value in old] if len(old) == len(inputs) else [max(old) < 0] * len(inputs)
        targets = [self._target(source) for source in inputs]
        new = tuple(target - here if back else target for back, target in zip(relative, targets, strict=True))
        return layer.section.options[key].value if new == old else ",".join(map(str, new))


def _integers(layer: Layer, key: str) -> tuple[int, ...]:
    return Options(layer.section, "", []).integers(key)


def _depthwise(layer: Layer, channels: int) -> str:
    """What replaces a shortcut that does more than add."""
    assert isinstance(layer, Shortcut)
    options = {"filters": channels, "groups": channels, "size": 1, "stride": 1, "activation": layer.activation}
    return "[convolutional]\n" + "".join(f"{key}={value}\n" for key, value in options.items()) + "\n"


def _resized(graph: ChannelGraph, layer: Layer, kept: NDArray[np.bool_]) -> Section:
    key = _width_key(layer)
    if key is None:
        return layer.section
    mask = kept[graph.trace.outputs[layer.index]]
    section = layer.section if mask.all() else layer.section.with_option(key, str(int(mask.sum())))
    if not isinstance(layer, Convolutional):
        return section
    inputs = kept_inputs(graph, layer, kept)
    if is_depthwise(layer, len(inputs)) and not inputs.all():
        section = section.with_option("groups", str(int(inputs.sum())))
    return section


def _width_key(layer: Layer) -> str | None:
    """The option that says how many channels a layer writes."""
    match layer:
        case Connected():
            return "output"
        case Convolutional():
            return "filters"
        case Maxpool() if layer.depth:
            return "out_channels"
        case _:
            return None
