"""PyTorch on the CPU, as detect.py and evaluate.py run a network: batch norms folded, channels last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prune.darknet.netdef import read_netdef
from prune.errors import DeploymentError
from prune.runtimes.types import Array, Loaded, NetworkFiles, Shape, as_maps

if TYPE_CHECKING:
    from torch import Tensor

    from prune.model.build import DarknetModel


def load(files: NetworkFiles, shape: Shape, threads: int) -> Loaded:
    """The network of a Darknet pair. Raises DeploymentError where there is only an exported file."""
    if files.cfg is None or files.weights is None:
        raise DeploymentError("torch runs a Darknet pair, not an exported file: pass --cfg and its --weights")
    import torch

    from prune.model.files import load_network
    from prune.model.fused import fused

    torch.set_num_threads(threads)
    return _Torch(fused(load_network(read_netdef(files.cfg), files.weights, "cpu")))


class _Torch(Loaded):
    def __init__(self, model: DarknetModel) -> None:
        self.model = model
        self.imgs: Tensor | None = None
        self.outputs: list[Tensor] = []

    def feed(self, imgs: Array) -> None:
        import torch

        self.imgs = torch.from_numpy(imgs).contiguous(memory_format=torch.channels_last)

    def infer(self) -> None:
        import torch

        with torch.inference_mode():
            self.outputs = self.model(self.imgs)

    def maps(self) -> list[Array]:
        return as_maps(output.numpy() for output in self.outputs)
