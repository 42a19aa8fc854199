"""`NetDef`: a whole network definition, typed, and equal to its cfg text byte for byte."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from prune.darknet.cfg import Document, Section, format_document, parse_document, shown
from prune.darknet.convolutions import resolved_shares
from prune.darknet.layers import Convolutional, Head, Layer, NetOptions
from prune.darknet.sections import read_layer, read_net
from prune.darknet.soundness import check_cfg_kind
from prune.errors import CfgError, PlanError
from prune.files.reading import read_bytes, read_text
from prune.files.writing import atomic_write, encode_text

logger = logging.getLogger(__name__)
MOST_LAYERS = 10_000
"""Far more than any network has."""


@dataclass(frozen=True, slots=True)
class NetDef:
    """A cfg: its text as sections, the `[net]` options and the layers in order.

    `warnings` are one-line warnings (`path:line: …`): unknown options, duplicate keys, stray comments.
    """

    path: str
    document: Document
    net: NetOptions
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...]
    _sized: dict[tuple[int, int], object] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `prune.darknet.shapes` computed, by input size: a cache, not part of the network."""

    @property
    def label(self) -> str:
        """Its path."""
        return self.path

    @property
    def image(self) -> tuple[int, int, int]:
        """The shape of its input: channels, height, width."""
        return self.net.channels, self.net.height, self.net.width

    @property
    def heads(self) -> tuple[Head, ...]:
        """The detection heads in the order of the cfg."""
        return tuple(layer for layer in self.layers if isinstance(layer, Head))

    @property
    def convolutions(self) -> tuple[Convolutional, ...]:
        """All convolutions and connected layers in the order of the cfg, which is that of the weights file."""
        return tuple(layer for layer in self.layers if isinstance(layer, Convolutional))

    @property
    def owners(self) -> tuple[Convolutional, ...]:
        """The convolutions with floats of their own: those that do not share another's."""
        return tuple(layer for layer in self.convolutions if layer.share is None)

    def convolution(self, index: int) -> Convolutional:
        """The convolution at layer `index`. Raises PlanError where it is of another kind."""
        layer = self.layers[index] if 0 <= index < len(self.layers) else None
        if not isinstance(layer, Convolutional):
            raise PlanError(f"{self.path}: layer {index} is not a convolution")
        return layer

    @property
    def fingerprint(self) -> bytes:
        """What identifies this network, and what the digest of a plan is made of: the bytes of its cfg."""
        return encode_text(format_netdef(self))

    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each layer the indices of the layers that read it, ascending."""
        readers: list[list[int]] = [[] for _ in self.layers]
        for layer in self.layers:
            for source in sorted(set(layer.inputs)):
                if source >= 0:
                    readers[source].append(layer.index)
        return tuple(map(tuple, readers))

    def error(self, layer: Layer, message: str) -> CfgError:
        """An error that points to the layer's section."""
        return CfgError(self.path, layer.section.line, f"[{layer.kind}] (layer {layer.index}) {message}")

    def with_net_option(self, key: str, value: str) -> NetDef:
        """The same network with an option of `[net]` set."""
        net = self.net.section.with_option(key, value)
        return from_sections(self.document.preamble, (net, *self.document.sections[1:]), self.path)

    def with_size(self, width: int, height: int) -> NetDef:
        """The same network for images of so many pixels."""
        return self.with_net_option("width", str(width)).with_net_option("height", str(height))


def parse_netdef(text: str, path: Path | str = "<text>") -> NetDef:
    """Cfg text → NetDef. Raises CfgError with file and line."""
    return _from_document(parse_document(text, path), path)


def read_netdef(path: Path | str) -> NetDef:
    """Reads a cfg file and logs its warnings. Raises CfgError."""
    check_cfg_kind(path, read_bytes(path, CfgError))
    netdef = parse_netdef(read_text(path, CfgError), path)
    for warning in netdef.warnings:
        logger.warning(warning)
    return netdef


def write_netdef(path: Path | str, netdef: NetDef) -> None:
    """Writes a cfg file, whole or not at all. Raises OSError where it cannot be written."""
    atomic_write(path, format_netdef(netdef))


def format_netdef(netdef: NetDef) -> str:
    """The cfg text of a network."""
    return format_document(netdef.document)


def from_sections(preamble: str, sections: tuple[Section, ...], path: Path | str) -> NetDef:
    """A NetDef of rewritten sections, checked and numbered as if it were read from a file."""
    return parse_netdef(format_document(Document(preamble, sections)), path)


def _from_document(document: Document, path: Path | str) -> NetDef:
    first, *rest = document.sections
    if first.kind not in ("net", "network"):
        raise CfgError(path, first.line, f"the first section is [{shown(first.kind)}]; it must be [net]")
    if not rest:
        raise CfgError(path, first.line, "contains no layers after [net]")
    if len(rest) > MOST_LAYERS:
        raise CfgError(path, rest[MOST_LAYERS].line, f"contains {len(rest):,} layers, more than {MOST_LAYERS:,}")
    warnings: list[str] = []
    net = read_net(first, path, warnings)
    layers = tuple(read_layer(section, i, path, warnings) for i, section in enumerate(rest))
    return NetDef(str(path), document, net, resolved_shares(layers, path), tuple(warnings))
