"""What no network can be built from: files of another kind, and values that no training produces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prune.darknet.records import ConvParams, Weights
from prune.errors import CfgError, WeightsError
from prune.files.impostors import HEAD, disguise, impostor_message

_TEXT = frozenset(b"\t\r\n") | frozenset(range(0x20, 0x7F))
_HEADERS = tuple(np.array([0, minor], "<i4").tobytes() for minor in (1, 2, 3))
_ONNX = (b"pytorch", b"onnx", b"tf2onnx", b"keras")


def check_kind(path: Path | str, data: bytes) -> None:
    """Raises WeightsError where the first bytes of a file show that it is something other than weights."""
    noun, fix = disguise(data[:HEAD]), "check the path, or download it again"
    if noun == "a PyTorch checkpoint":
        fix = "rename it to .pt"
    elif noun is None and data[:1] == b"\x08" and any(name in data[:64].lower() for name in _ONNX):
        noun, fix = "an ONNX model", "pass the .weights or the .pt that it was exported from"
    elif noun is None and len(data) >= 16 and _TEXT.issuperset(data[:HEAD]):
        is_cfg = data.lstrip().startswith((b"[", b"#", b";"))
        noun, fix = ("a cfg", "are --cfg and --weights exchanged?") if is_cfg else ("a text file", fix)
    if noun is not None:
        raise WeightsError(path, f"is {noun}, not a Darknet weights file; {fix}")


def check_cfg_kind(path: Path | str, data: bytes) -> None:
    """Raises CfgError where the first bytes of a file show that it is something other than a cfg."""
    if message := impostor_message(data[:HEAD]):
        raise CfgError(path, None, message)
    if data[:8] in _HEADERS:
        raise CfgError(path, None, "is a Darknet weights file, not a cfg; are --cfg and --weights exchanged?")
    if sum(byte < 0x20 and byte not in b"\t\r\n" for byte in data[:256]) > 2:  # a text has none, or very few
        raise CfgError(path, None, "is a binary file, not a cfg; check the path")


def check_checkpoint_kind(path: Path | str, head: bytes) -> None:
    """Raises WeightsError where the first bytes of a file show that it cannot be a PyTorch checkpoint."""
    noun, fix = disguise(head[:HEAD]), "check the path, or download it again"
    if noun is None and head[:8] in _HEADERS:
        noun, fix = "a Darknet weights file", "rename it to .weights"
    if noun not in (None, "a PyTorch checkpoint", "a zip archive"):
        raise WeightsError(path, f"is {noun}, not a PyTorch checkpoint; {fix}")


def check_values(path: Path | str, weights: Weights) -> None:
    """Raises WeightsError, naming the layer, where a value is NaN or infinite or a variance of batch norm negative."""
    for index, record in weights.records.items():
        if not all(np.isfinite(array).all() for array in record.arrays()):
            message = f"contains values that are NaN or infinite (layer {index}): its training diverged"
            raise WeightsError(path, f"{message}; use an earlier file")
        if isinstance(record, ConvParams) and record.var is not None and record.var.min(initial=0) < 0:
            channel = int(record.var.argmin())
            message = f"layer {index}: the variance of channel {channel} is negative ({record.var[channel]:.3g})"
            raise WeightsError(path, f"{message}, which Darknet turns into NaN; the file is damaged, use another one")
