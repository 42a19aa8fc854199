"""An exported file in place of a network, where only the forward pass is used: evaluation and detection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from prune.darknet.layers import Head
from prune.darknet.netdef import NetDef
from prune.errors import FileError
from prune.export.metadata import ExportedInfo
from prune.model.build import DarknetModel
from prune.runtimes.onnx_runtime import OnnxSession
from prune.runtimes.types import Array


class ExportedModel(nn.Module):
    """An exported file, run by onnxruntime on the CPU. `netdef` is its network, of the size that it was exported for.

    Raises FileError where the boxes are decoded in the file or onnxruntime does not read it.
    """

    def __init__(self, path: Path, info: ExportedInfo) -> None:
        super().__init__()
        if info.decoded:
            raise FileError(path, None, "has its boxes decoded in the file; export it without --decode to evaluate it")
        self.path, self.batch, self.size_wh = path, info.batch, (info.width, info.height)
        self.netdef: NetDef = info.network(path).with_size(*self.size_wh)
        self.heads: tuple[Head, ...] = self.netdef.heads
        self.names = info.names
        self.session = open_session(path)

    def forward(self, imgs: Tensor) -> list[Tensor]:
        """imgs (B, channels, H, W) in [0, 1] → for each head its undecoded input (B, A·(entries + C), H', W').

        A file of a fixed number of images per run gets as many runs as are needed, the last one filled up. Raises
        FileError for images of another size than the file's.
        """
        size = imgs.shape[3], imgs.shape[2]
        if size != self.size_wh:
            fixed, given = (f"{width}x{height}" for width, height in (self.size_wh, size))
            message = f"takes images of {fixed} only, not {given}: leave out --img-size and --rect"
            raise FileError(self.path, None, message)
        every = imgs.contiguous().numpy()
        step = self.batch or len(every)
        parts = [self._run(every[start : start + step], step) for start in range(0, len(every), step)]
        return [torch.from_numpy(np.concatenate(maps)) for maps in zip(*parts, strict=True)]

    def _run(self, imgs: Array, count: int) -> list[Array]:
        missing = count - len(imgs)
        full = np.concatenate((imgs, np.zeros((missing, *imgs.shape[1:]), np.float32))) if missing else imgs
        return [found[: len(imgs)] for found in self.session.run(full)]


Detector = DarknetModel | ExportedModel
"""What detects: a network, or an exported file in its place."""


def open_session(path: Path) -> OnnxSession:
    """The file in onnxruntime, with as many threads as torch has. Raises FileError where it does not read it."""
    try:
        return OnnxSession(path, torch.get_num_threads())
    except Exception as cause:  # onnxruntime's errors have no common class
        text = " ".join(str(cause).split())
        raise FileError(path, None, f"cannot be read by onnxruntime ({text}); export it again") from cause


def device_of(model: Detector) -> torch.device:
    """Where the model computes."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
