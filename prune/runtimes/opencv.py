"""OpenCV on the CPU: its reader of Darknet pairs, and its ONNX reader for exported files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from prune.runtimes.types import Array, Loaded, NetworkFiles, Shape


def load(files: NetworkFiles, shape: Shape, threads: int) -> Loaded:
    """The network of a Darknet pair, or of an exported file where there is no pair. Raises cv2.error."""
    import cv2

    cv2.setNumThreads(threads)
    if files.cfg is not None and files.weights is not None:
        return _Pair(cv2.dnn.readNetFromDarknet(str(files.cfg), str(files.weights)), files.heads)
    net = cv2.dnn.readNetFromONNX(str(files.onnx))
    return _OpenCV(net, net.getUnconnectedOutLayersNames())


class _OpenCV(Loaded):
    """`names`: the layers whose outputs are the maps."""

    def __init__(self, net: Any, names: Sequence[str]) -> None:
        self.net, self.names = net, names
        self.imgs = np.zeros((0, 0, 0, 0), np.float32)
        self.outputs: Sequence[Array] = ()

    def feed(self, imgs: Array) -> None:
        self.imgs = imgs

    def infer(self) -> None:
        self.net.setInput(self.imgs)  # a copy; a run may reuse the memory of its input
        self.outputs = self.net.forward(self.names)

    def maps(self) -> list[Array]:
        return [np.array(output, np.float32) for output in self.outputs]


class _Pair(_OpenCV):
    """A Darknet pair: only what leads to a head's input is computed. OpenCV names it `permute_N`, N being the index of
    the head's layer, and stores it (B, H, W, C)."""

    def __init__(self, net: Any, heads: Sequence[int]) -> None:
        super().__init__(net, [f"permute_{index}" for index in heads])

    def maps(self) -> list[Array]:
        return [np.ascontiguousarray(output.transpose(0, 3, 1, 2)) for output in super().maps()]
