"""The `.weights` file ↔ typed records.

Layout (little-endian): int32 major, minor, revision; `seen` as int64 from version 0.2 on
(major·10 + minor ≥ 2), as int32 before; then for each convolution in cfg order: bias (with batch
norm: beta, gamma, mean, var), then the kernel in (out, in/groups, k, k), all float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prune.darknet.files import atomic_file, read_bytes
from prune.darknet.layers import Convolutional
from prune.darknet.netdef import NetDef
from prune.darknet.shapes import input_channels
from prune.errors import WeightsError

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Header:
    """The head of a weights file. `seen` counts the images of the training so far."""

    major: int = 0
    minor: int = 2
    revision: int = 0
    seen: int = 0

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The header's bytes in the file, by its version."""
        return np.dtype([("version", "<i4", 3), ("seen", "<i8" if _wide_seen(self.major, self.minor) else "<i4")])

    def to_bytes(self) -> bytes:
        """The header as it stands in the file."""
        return np.array([((self.major, self.minor, self.revision), self.seen)], self.dtype).tobytes()


@dataclass(frozen=True, slots=True)
class ConvParams:
    """The floats of one convolution. weight (O, I/groups, K, K); all else (O,).

    With batch norm `bias` is β and gamma, mean, var are set; without, they are None.
    """

    weight: Floats
    bias: Floats
    gamma: Floats | None = None
    mean: Floats | None = None
    var: Floats | None = None

    def arrays(self) -> tuple[Floats, ...]:
        """The arrays in file order."""
        if self.gamma is None or self.mean is None or self.var is None:
            return (self.bias, self.weight)
        return (self.bias, self.gamma, self.mean, self.var, self.weight)

    @property
    def floats(self) -> int:
        """How many floats the record takes in the file."""
        return sum(array.size for array in self.arrays())


@dataclass(frozen=True, slots=True)
class Weights:
    """A header and one record per layer that owns floats, keyed by layer index."""

    header: Header
    records: Mapping[int, ConvParams]

    @property
    def floats(self) -> int:
        """How many floats the file holds behind its header."""
        return sum(record.floats for record in self.records.values())


def read_weights(path: Path | str, netdef: NetDef) -> Weights:
    """Reads weights that fit `netdef` exactly. Raises WeightsError naming both lengths."""
    header, floats = _read_stream(path)
    needed = sum(size for _, size in _sizes(netdef))
    if floats.size != needed:
        state = "truncated, or of another cfg" if floats.size < needed else "of another cfg, or over-long"
        message = f"holds {floats.size:,} floats, but {netdef.path} needs {needed:,}: {state}"
        raise WeightsError(path, message)
    return Weights(header, _take_records(floats, netdef))


def read_partial(path: Path | str, netdef: NetDef) -> Weights:
    """Reads weights of the first layers of `netdef`, for training.

    The file must end on a layer boundary. Raises WeightsError with the nearest boundaries otherwise.
    """
    header, floats = _read_stream(path)
    ends = np.cumsum([0] + [size for _, size in _sizes(netdef)])
    if floats.size not in ends:
        below = int(np.searchsorted(ends, floats.size)) - 1
        near = f"{ends[below]:,}" + (f" or {ends[below + 1]:,}" if below + 1 < len(ends) else "")
        raise WeightsError(path, f"holds {floats.size:,} floats, no layer of {netdef.path} ends there; near are {near}")
    return Weights(header, _take_records(floats, netdef))


def write_weights(path: Path | str, weights: Weights) -> None:
    """Writes a weights file by way of a temporary file and a rename."""
    with atomic_file(path) as file:
        file.write(weights.header.to_bytes())
        for index in sorted(weights.records):
            for array in weights.records[index].arrays():
                file.write(np.ascontiguousarray(array, "<f4").data)


def random_weights(netdef: NetDef, rng: np.random.Generator) -> Weights:
    """Plausible random weights: kernels scaled by fan-in, γ in [0, 2), β small, var around 1."""
    channels = input_channels(netdef)
    return Weights(Header(), {c.index: _random_record(c, channels[c.index], rng) for c in netdef.convolutions})


def kernel_shape(layer: Convolutional, in_channels: int) -> tuple[int, int, int, int]:
    """(out, in/groups, k, k)."""
    return (layer.filters, in_channels // layer.groups, layer.size, layer.size)


def _random_record(layer: Convolutional, in_channels: int, rng: np.random.Generator) -> ConvParams:
    shape = kernel_shape(layer, in_channels)
    scale = np.float32(np.sqrt(2.0 / np.prod(shape[1:])))
    weight = rng.standard_normal(shape, np.float32) * scale
    bias = rng.standard_normal(layer.filters, np.float32) * np.float32(0.2)
    if not layer.batch_normalize:
        return ConvParams(weight, bias)
    gamma = rng.random(layer.filters, np.float32) * np.float32(2.0)
    mean = rng.standard_normal(layer.filters, np.float32) * np.float32(0.2)
    return ConvParams(weight, bias, gamma, mean, rng.random(layer.filters, np.float32) + np.float32(0.5))


def _read_stream(path: Path | str) -> tuple[Header, Floats]:
    data = read_bytes(path, lambda path, _, message: WeightsError(path, message))
    if len(data) < 16:
        raise WeightsError(path, f"is {len(data)} bytes long, shorter than a header; download it again")
    major, minor, revision = (int(v) for v in np.frombuffer(data, "<i4", 3))
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        raise WeightsError(path, f"version {major}.{minor} in its header; this is no Darknet weights file")
    size = Header(major, minor).dtype.itemsize
    if (len(data) - size) % 4 or len(data) < size:
        raise WeightsError(path, f"is {len(data):,} bytes long, no whole number of floats: truncated")
    seen = int(np.frombuffer(data, Header(major, minor).dtype, 1)["seen"][0])
    floats = np.frombuffer(data, "<f4", offset=size)
    if not np.isfinite(floats).all():
        raise WeightsError(path, "holds values that are NaN or infinite: its training diverged; take an earlier file")
    return Header(major, minor, revision, seen), floats


def _sizes(netdef: NetDef) -> list[tuple[Convolutional, int]]:
    """Each convolution with the number of floats it owns."""
    channels = input_channels(netdef)
    return [
        (
            layer,
            int(np.prod(kernel_shape(layer, channels[layer.index])))
            + layer.filters * (4 if layer.batch_normalize else 1),
        )
        for layer in netdef.convolutions
    ]


def _take_records(floats: Floats, netdef: NetDef) -> dict[int, ConvParams]:
    """Cuts the stream into records, layer by layer, until it ends."""
    channels, records, start = input_channels(netdef), dict[int, ConvParams](), 0

    def take(count: int) -> Floats:
        nonlocal start
        start += count
        return floats[start - count : start]

    for layer in netdef.convolutions:
        if start == floats.size:
            break
        records[layer.index] = _take_record(layer, channels[layer.index], take)
    return records


def _take_record(layer: Convolutional, in_channels: int, take: Callable[[int], Floats]) -> ConvParams:
    shape = kernel_shape(layer, in_channels)
    vectors = [take(layer.filters) for _ in range(4 if layer.batch_normalize else 1)]
    return ConvParams(take(int(np.prod(shape))).reshape(shape), *vectors)


def _wide_seen(major: int, minor: int) -> bool:
    return major * 10 + minor >= 2
