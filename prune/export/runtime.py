"""Runs an exported file with onnxruntime."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prune.errors import FileError
from prune.export.settings import IMAGES

_ERRORS_ONLY = 3


def can_run() -> bool:
    """Whether onnxruntime is installed."""
    return find_spec("onnxruntime") is not None


def run_exported(path: Path | str, imgs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The outputs for imgs (batch, channels, height, width) in [0, 1], computed once on the CPU, node by node.

    Raises FileError where onnxruntime cannot read or run the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # For a single run it does not pay to rewrite the graph and its weights, which takes twice the memory.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return list(session.run(None, {IMAGES: imgs}))
    except Exception as cause:  # its errors have no common base
        raise FileError(path, None, f"onnxruntime cannot run it: {' '.join(str(cause).split())}") from cause
