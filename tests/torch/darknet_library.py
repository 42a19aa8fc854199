"""Darknet itself, as Debian packages it (`apt install darknet`: pjreddie's, of 2018): an oracle that we did not write.

It ends the process where it dislikes a file, so it runs in one of its own:

    python -m tests.torch.darknet_library boxes CFG WEIGHTS CLASSES IN.npy OUT.npy
    python -m tests.torch.darknet_library fit letterbox|stretch SIZE IN.npy OUT.npy

`boxes`: (C, H, W) float32 → (n, 5 + classes) float32: cx, cy, w, h as fractions, objectness, class scores times it;
head by head, cell by cell, anchor by anchor (of `[region]`: anchor by anchor, cell by cell). `fit`: an image
(H, W, 3) uint8 → (SIZE, SIZE, 3) float32 of 0 … 1.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from ctypes import POINTER, Structure, byref, c_char_p, c_float, c_int, c_void_p
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from prune.darknet.netdef import NetDef, format_netdef
from prune.darknet.records import ConvParams, Record, Weights
from prune.darknet.weights import write_weights
from tests.shared import REPOSITORY

LIBRARY = Path(os.environ.get("PRUNE_DARKNET_LIBRARY", "/usr/lib/darknet/libdarknet.so"))
needs_darknet = pytest.mark.skipif(not LIBRARY.is_file(), reason=f"no Darknet here ({LIBRARY}): apt install darknet")
Floats = NDArray[np.float32]


def darknet_boxes(netdef: NetDef, weights: Weights, image: Floats, folder: Path) -> Floats:
    """What Darknet computes from a pair of files, for an image (C, H, W) in [0, 1].

    This one divides by sqrt(var) + 1e-6 where AlexeyAB's, whose batch norm is ours, divides by sqrt(var + 1e-5): it is
    given the variances with which both are the same.
    """
    (folder / "d.cfg").write_text(format_netdef(netdef))
    records = {index: _with_its_epsilon(record) for index, record in weights.records.items()}
    write_weights(folder / "d.weights", Weights(weights.header, records), netdef)
    return _run(folder, image, "boxes", folder / "d.cfg", folder / "d.weights", netdef.heads[0].classes)


def darknet_fit(image: NDArray[np.uint8], size: int, letterbox: bool, folder: Path) -> Floats:
    """The image as Darknet fits it, (size, size, 3) in [0, 1]."""
    return _run(folder, image, "fit", "letterbox" if letterbox else "stretch", size)


def _with_its_epsilon(record: Record) -> Record:
    if not isinstance(record, ConvParams) or record.var is None:
        return record
    return replace(record, var=np.square(np.sqrt(record.var.astype(np.float64) + 1e-5) - 1e-6).astype(np.float32))


def _run(folder: Path, array: NDArray[np.generic], *command: object) -> Floats:
    np.save(folder / "in.npy", array)
    words = [sys.executable, "-m", __name__, *map(str, command), str(folder / "in.npy"), str(folder / "out.npy")]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
    return np.asarray(np.load(folder / "out.npy"), np.float32)


class _Image(Structure):
    _fields_ = (("w", c_int), ("h", c_int), ("c", c_int), ("data", POINTER(c_float)))


class _Box(Structure):
    _fields_ = (("x", c_float), ("y", c_float), ("w", c_float), ("h", c_float))


class _Detection(Structure):
    _fields_ = (
        ("bbox", _Box),
        ("classes", c_int),
        ("prob", POINTER(c_float)),
        ("mask", POINTER(c_float)),
        ("objectness", c_float),
        ("sort_class", c_int),
    )


def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL(str(LIBRARY))
    lib.load_network.restype, lib.load_network.argtypes = c_void_p, [c_char_p, c_char_p, c_int]
    lib.set_batch_network.argtypes = [c_void_p, c_int]
    lib.network_predict.restype, lib.network_predict.argtypes = POINTER(c_float), [c_void_p, POINTER(c_float)]
    lib.get_network_boxes.restype = POINTER(_Detection)
    lib.get_network_boxes.argtypes = [c_void_p, c_int, c_int, c_float, c_float, c_void_p, c_int, POINTER(c_int)]
    for resize in (lib.letterbox_image, lib.resize_image):
        resize.restype, resize.argtypes = _Image, [_Image, c_int, c_int]
    return lib


def _boxes(cfg: str, weights: str, classes: int, image: Floats) -> Floats:
    lib, count = _library(), c_int(0)
    net = lib.load_network(cfg.encode(), weights.encode(), 0)
    lib.set_batch_network(net, 1)
    lib.network_predict(net, np.ascontiguousarray(image, np.float32).ctypes.data_as(POINTER(c_float)))
    found = lib.get_network_boxes(net, 1, 1, 0.0, 0.5, None, 1, byref(count))
    rows = []
    for one in found[: count.value]:
        box = one.bbox
        rows.append([box.x, box.y, box.w, box.h, one.objectness, *one.prob[:classes]])
    return np.array(rows, np.float32)


def _fit(how: str, size: int, image: NDArray[np.uint8]) -> Floats:
    lib, (height, width) = _library(), image.shape[:2]
    planes = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255)
    given = _Image(width, height, 3, planes.ctypes.data_as(POINTER(c_float)))
    fitted = (lib.letterbox_image if how == "letterbox" else lib.resize_image)(given, size, size)
    return np.ctypeslib.as_array(fitted.data, (3, size, size)).transpose(1, 2, 0)


if __name__ == "__main__":
    verb, first, *between, number, source, target = sys.argv[1:]
    given, count = np.load(source), int(number)
    np.save(target, _boxes(first, between[0], count, given) if verb == "boxes" else _fit(first, count, given))
