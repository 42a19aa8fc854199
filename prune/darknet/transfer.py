"""Weights of one network for another: layers of equal shape are taken over by index."""

from __future__ import annotations

from prune.darknet.layout import Slot, slots
from prune.darknet.netdef import NetDef
from prune.darknet.records import ConvParams, Record, Weights


def transfer(weights: Weights, source: NetDef, target: NetDef) -> tuple[dict[int, Record], list[str]]:
    """The records of `source` that fit `target`, and one line for each layer of it that is newly initialised.

    Layers are compared by index; they fit where kernels (or factors of a weighted
    shortcut) and batch norm agree.
    """
    taken, initialised = dict[int, Record](), list[str]()
    for slot in slots(target):
        index, record = slot.layer.index, weights.records.get(slot.layer.index)
        obstacle = _obstacle(slot, record, source)
        if record is None or obstacle:
            initialised.append(f"layer {index}: {obstacle}")
        else:
            taken[index] = record
    return taken, initialised


def _obstacle(slot: Slot, record: Record | None, source: NetDef) -> str:
    """Why a record does not fit; empty where it does."""
    noun, what = ("kernel", "convolution") if len(slot.shape) == 4 else ("factors", "weighted shortcut")
    if record is None or isinstance(record, ConvParams) != (len(slot.shape) == 4):
        return f"{source.path} contains no {what} there"
    shape = record.weight.shape if isinstance(record, ConvParams) else record.weights.shape
    if shape != slot.shape:
        return f"{noun} {_text(shape)}, here {_text(slot.shape)}"
    return "" if record.floats == slot.floats else "only one of them has batch norm"


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
