"""onnxruntime on the CPU, for exported files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prune.errors import DeploymentError
from prune.runtimes.types import Array, Loaded, NetworkFiles, Shape, as_maps


def load(files: NetworkFiles, shape: Shape, threads: int) -> Loaded:
    """The network of an exported file."""
    return OnnxSession(exported_file(files), threads)


def exported_file(files: NetworkFiles) -> Path:
    """The exported file. Raises DeploymentError where there is none."""
    if files.onnx is None:
        raise DeploymentError(files.unexported)
    return files.onnx


class OnnxSession(Loaded):
    """`threads` 0: as many as onnxruntime chooses."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        self.session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.name: str = self.session.get_inputs()[0].name
        self.fed: dict[str, Array] = {}
        self.outputs: list[Any] = []

    def feed(self, imgs: Array) -> None:
        self.fed = {self.name: imgs}

    def infer(self) -> None:
        self.outputs = self.session.run(None, self.fed)

    def maps(self) -> list[Array]:
        return as_maps(self.outputs)
