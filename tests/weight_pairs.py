"""Networks to write weights files of, and how two sets of weights are compared."""

from __future__ import annotations

from prune.darknet.records import Weights
from tests.strategies import arrays_of

CFG = """[net]
width=16
height=16
[convolutional]
batch_normalize=1
filters=4
size=3
pad=1
activation=leaky
[convolutional]
filters=6
groups=2
activation=linear
"""


def assert_same(a: Weights, b: Weights) -> None:
    """Equal headers, layers and floats, bit for bit."""
    assert a.header == b.header
    pairs = list(zip(arrays_of(a), arrays_of(b), strict=True))
    assert all(i == j and x.dtype == y.dtype and x.shape == y.shape for (i, x), (j, y) in pairs)
    assert all(x.tobytes() == y.tobytes() for (_, x), (_, y) in pairs)


HEADS = """[net]
width=32
height=32
[convolutional]
batch_normalize=1
filters=4
size=3
pad=1
activation=leaky
[convolutional]
filters=14
activation=linear
[yolo]
mask=0,1
anchors=4,5, 6,7, 8,9
classes=2
num=3
[route]
layers=0
[convolutional]
filters=7
batch_normalize=1
activation=linear
[yolo]
mask=2
anchors=4,5, 6,7, 8,9
classes=2
num=3
"""
