"""OpenVINO on the CPU, for exported files: in float32, or in the precision that it chooses for the processor."""

from __future__ import annotations

from typing import Any

import numpy as np

from prune.runtimes.onnx_runtime import exported_file
from prune.runtimes.types import Array, Loaded, NetworkFiles, Shape


def load(files: NetworkFiles, shape: Shape, threads: int, precision: str | None = None) -> Loaded:
    """The network of an exported file. `precision`: OpenVINO's INFERENCE_PRECISION_HINT; None: its own choice, which is
    bf16 on processors that compute in it."""
    import openvino

    core = openvino.Core()
    model = core.read_model(exported_file(files))
    if model.is_dynamic():
        model.reshape(list(shape))
    config: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    if precision is not None:
        config["INFERENCE_PRECISION_HINT"] = precision
    return _OpenVino(core.compile_model(model, "CPU", config))


class _OpenVino(Loaded):
    def __init__(self, compiled: Any) -> None:
        self.precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        self.request = compiled.create_infer_request()
        self.count = len(compiled.outputs)

    def feed(self, imgs: Array) -> None:
        import openvino

        self.request.set_input_tensor(openvino.Tensor(imgs, shared_memory=False))

    def infer(self) -> None:
        self.request.infer()

    def maps(self) -> list[Array]:
        return [np.array(self.request.get_output_tensor(n).data, np.float32) for n in range(self.count)]
