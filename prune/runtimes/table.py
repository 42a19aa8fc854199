"""The runtimes that a network can be measured in. A new one is a file with a `load` function and a row here."""

from __future__ import annotations

from functools import partial

from prune.runtimes import ncnn_runtime, onnx_runtime, opencv, openvino_runtime, torch_runtime
from prune.runtimes.types import Runtime

_ROWS = (
    Runtime("torch", ("torch",), "torch", False, torch_runtime.load),
    Runtime("opencv", ("cv2",), "opencv-python", False, opencv.load),
    Runtime("onnxruntime", ("onnx", "onnxruntime"), "onnx onnxruntime", True, onnx_runtime.load),
    Runtime("openvino", ("onnx", "openvino"), "onnx openvino", True, partial(openvino_runtime.load, precision="f32")),
    Runtime("openvino-default", ("onnx", "openvino"), "onnx openvino", True, openvino_runtime.load),
    Runtime("ncnn", ("onnx", "ncnn", "pnnx"), "onnx ncnn pnnx", True, ncnn_runtime.load),
)
RUNTIMES = {row.name: row for row in _ROWS}
