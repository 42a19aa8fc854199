"""Residual blocks: bodies that a shortcut adds to a skip, and whether the cfg can do without them."""

from __future__ import annotations

from dataclasses import dataclass

from prune.darknet.layers import Convolutional, Shortcut, Yolo
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import Shape, shapes


@dataclass(frozen=True, slots=True)
class ResidualBlock:
    """`shortcut` = `skip` + the output of `body`. All are layer indices, body ascending.

    `end` is the body's layer that the shortcut reads. `dead` are the convolutions whose outputs add up
    to the body's: where their γ are 0 the body is constant. `reason` says why the block must stay, or is None.
    """

    shortcut: int
    body: tuple[int, ...]
    skip: int
    end: int
    dead: tuple[int, ...]
    reason: str | None

    @property
    def layers(self) -> tuple[int, ...]:
        """All layers that go when the block goes."""
        return (*self.body, self.shortcut)


def find_blocks(netdef: NetDef) -> tuple[ResidualBlock, ...]:
    """All residual blocks in the order of their shortcuts, removable or not."""
    consumers, out = netdef.consumers(), shapes(netdef)
    shortcuts = [layer for layer in netdef.layers if isinstance(layer, Shortcut)]
    found = (_block(netdef, layer, consumers, out) for layer in shortcuts)
    return tuple(block for block in found if block is not None)


def removable_blocks(netdef: NetDef) -> tuple[ResidualBlock, ...]:
    """The residual blocks whose removal the cfg can express."""
    return tuple(block for block in find_blocks(netdef) if block.reason is None)


def _block(
    netdef: NetDef, layer: Shortcut, consumers: tuple[tuple[int, ...], ...], out: list[Shape]
) -> ResidualBlock | None:
    if len(layer.inputs) != 2:
        return None
    for end, skip in (layer.inputs, layer.inputs[::-1]):
        body = _body(netdef, layer.index, end, skip, consumers)
        if body and _reads_only(netdef, body, skip):
            dead = _contributors(netdef, end, set(body))
            reason = _obstacle(layer, skip, dead, out, not consumers[layer.index])
            return ResidualBlock(layer.index, body, skip, end, dead or (), reason)
    return None


def _body(
    netdef: NetDef, shortcut: int, end: int, skip: int, consumers: tuple[tuple[int, ...], ...]
) -> tuple[int, ...]:
    """The layers whose outputs end in the shortcut by way of `end` alone."""
    inside = {shortcut}
    for index in range(shortcut - 1, skip, -1):
        readers = set(consumers[index])
        if readers and readers <= inside and not isinstance(netdef.layers[index], Yolo):
            inside.add(index)
    body = tuple(sorted(inside - {shortcut}))
    return body if end in inside else ()


def _reads_only(netdef: NetDef, body: tuple[int, ...], skip: int) -> bool:
    outside = {source for index in body for source in netdef.layers[index].inputs} - set(body)
    return outside == {skip}


def _contributors(netdef: NetDef, end: int, body: set[int]) -> tuple[int, ...] | None:
    """The convolutions whose outputs reach `end` without another convolution; None where the skip does too."""
    pending, found = [end], set[int]()
    while pending:
        index = pending.pop()
        if index not in body:
            return None
        layer = netdef.layers[index]
        if isinstance(layer, Convolutional):
            found.add(index)
        else:
            pending.extend(layer.inputs)
    return tuple(sorted(found))


def _obstacle(layer: Shortcut, skip: int, dead: tuple[int, ...] | None, out: list[Shape], unread: bool) -> str | None:
    if unread:
        return "its shortcut is an output of the network"
    if out[skip] != out[layer.index]:
        return f"the skip (layer {skip}) has another shape than the shortcut"
    if layer.activation != "linear":
        return f"its shortcut has activation={layer.activation}, which the skip alone does not pass"
    if dead is None:
        return f"its body passes the skip (layer {skip}) on"
    return None
