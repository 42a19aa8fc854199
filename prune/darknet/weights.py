"""The `.weights` file ↔ typed records; `prune.darknet.layout` defines what is where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prune.darknet.layers import Convolutional
from prune.darknet.layout import Slot, slots
from prune.darknet.misfit import classes_phrase, classes_that_fit
from prune.darknet.netdef import NetDef
from prune.darknet.records import ConvParams, Floats, Header, Record, ShortcutParams, Weights
from prune.darknet.soundness import check_kind, check_values
from prune.errors import WeightsError
from prune.files.reading import read_bytes
from prune.files.writing import atomic_file

_LATEST_VERSION = 10_000
OTHER_NETWORK = "for weights of another network pass its cfg as --weights-cfg OLD.cfg"
"""What to do with weights that do not fit, in training."""


def read_weights(path: Path | str, netdef: NetDef) -> Weights:
    """Reads weights that fit `netdef` exactly. Raises WeightsError naming both lengths.

    Raises it, too, where a value is not finite or a variance negative. Layers with `dontload` have a record where the
    file contains floats for them too, as those that Darknet saves do.
    """
    header, floats = _read_stream(path)
    every = slots(netdef)
    stored = [slot for slot in every if slot.stored]
    for chosen in (stored, every):
        if floats.size == _total(chosen):
            return _checked(path, Weights(header, _take_records(floats, chosen, header)))
    needed = _total(stored)
    state = "truncated, or of another cfg" if floats.size < needed else "of another cfg, or too long"
    if classes := classes_that_fit(netdef, floats.size, needed):
        state = f"of another cfg ({classes_phrase(netdef, classes)}); pass the cfg that they were trained with"
    message = f"contains {floats.size:,} floats, but {netdef.path} needs {needed:,}: {state}"
    raise WeightsError(path, message)


def read_partial(path: Path | str, netdef: NetDef) -> Weights:
    """Reads weights of the first layers of `netdef`, for training.

    The file must end on a layer boundary. Raises WeightsError with the nearest boundaries otherwise.
    """
    header, floats = _read_stream(path)
    every = slots(netdef)
    stored = [slot for slot in every if slot.stored]
    for chosen in (stored, every):
        if floats.size in _ends(chosen):
            return _checked(path, Weights(header, _take_records(floats, chosen, header)))
    ends = _ends(stored)
    below = int(np.searchsorted(ends, floats.size)) - 1
    near = f"the nearest are {ends[below]:,}" + (f" or {ends[below + 1]:,}" if below + 1 < len(ends) else "")
    classes = classes_that_fit(netdef, floats.size, ends[-1])
    why = classes_phrase(netdef, classes) if classes else near
    message = f"contains {floats.size:,} floats, no layer of {netdef.path} ends there; {why}; {OTHER_NETWORK}"
    raise WeightsError(path, message)


def write_weights(path: Path | str, weights: Weights, netdef: NetDef) -> None:
    """Writes the records of `netdef` to a weights file, through a temporary file and a rename.

    Layers without a record are left out. Raises WeightsError, and writes nothing, where a record is of another layer.
    """
    layout = [slot for slot in slots(netdef) if slot.layer.index in weights.records]
    for slot in layout:
        _check_fit(path, slot, weights.records[slot.layer.index])
    for index in sorted(weights.records.keys() - {slot.layer.index for slot in layout}):
        raise WeightsError(path, f"layer {index} of {netdef.path} owns no floats, but has a record")
    with atomic_file(path) as file:
        file.write(weights.header.to_bytes())
        for slot in layout:
            for array in slot.joined(weights.records[slot.layer.index], weights.header):
                file.write(np.ascontiguousarray(array, "<f4").data)


def random_weights(netdef: NetDef, rng: np.random.Generator) -> Weights:
    """Plausible random weights: kernels scaled by fan-in, γ in [0, 2), β small, var and factors around 1."""
    return Weights(Header(), {slot.layer.index: _random_record(slot, rng) for slot in slots(netdef)})


def _random_record(slot: Slot, rng: np.random.Generator) -> Record:
    if not isinstance(slot.layer, Convolutional):
        return ShortcutParams(rng.random(slot.shape, np.float32) + np.float32(0.5))
    shape, filters = slot.shape, slot.shape[0]
    scale = np.float32(np.sqrt(2.0 / np.prod(shape[1:])))
    weight = rng.standard_normal(shape, np.float32) * scale
    bias = rng.standard_normal(filters, np.float32) * np.float32(0.2)
    if not slot.layer.batch_normalize:
        return ConvParams(weight, bias)
    gamma = rng.random(filters, np.float32) * np.float32(2.0)
    mean = rng.standard_normal(filters, np.float32) * np.float32(0.2)
    return ConvParams(weight, bias, gamma, mean, rng.random(filters, np.float32) + np.float32(0.5))


def _checked(path: Path | str, weights: Weights) -> Weights:
    check_values(path, weights)
    return weights


def _read_stream(path: Path | str) -> tuple[Header, Floats]:
    data = read_bytes(path, lambda path, _, message: WeightsError(path, message))
    check_kind(path, data)
    if len(data) < 16:
        raise WeightsError(path, f"is {len(data)} bytes long, shorter than a header; download it again")
    major, minor, revision = (int(v) for v in np.frombuffer(data, "<i4", 3))
    if not (0 <= major < _LATEST_VERSION and 0 <= minor < _LATEST_VERSION):
        raise WeightsError(path, f"version {major}.{minor} in its header; this is not a Darknet weights file")
    size = Header(major, minor).dtype.itemsize
    if (len(data) - size) % 4 or len(data) < size:
        raise WeightsError(path, f"is {len(data):,} bytes long, not a whole number of floats: truncated")
    seen = int(np.frombuffer(data, Header(major, minor).dtype, 1)["seen"][0])
    return Header(major, minor, revision, seen), np.frombuffer(data, "<f4", offset=size)


def _ends(layout: Sequence[Slot]) -> list[int]:
    """Where each layer ends in the stream, in floats, from 0."""
    return [int(end) for end in np.cumsum([0] + [slot.floats for slot in layout])]


def _total(layout: Sequence[Slot]) -> int:
    return _ends(layout)[-1]


def _take_records(floats: Floats, layout: Sequence[Slot], header: Header) -> dict[int, Record]:
    """Cuts the stream into records, layer by layer, until it ends."""
    ends, records = _ends(layout), dict[int, Record]()
    for slot, start, end in zip(layout, ends[:-1], ends[1:], strict=True):
        if end <= floats.size:
            records[slot.layer.index] = slot.cut(floats[start:end], header)
    return records


def _check_fit(path: Path | str, slot: Slot, record: Record) -> None:
    shape = record.weight.shape if isinstance(record, ConvParams) else record.weights.shape
    if shape != slot.shape or record.floats != slot.floats:
        raise WeightsError(path, f"layer {slot.layer.index} needs floats of shape {slot.shape}, its record has {shape}")
