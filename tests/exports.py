"""Exported networks in tests: what onnxruntime computes with one, in memory."""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from prune.darknet.netdef import NetDef
from prune.darknet.records import ConvParams, Weights
from prune.darknet.weights import random_weights
from prune.export.settings import IMAGES
from prune.export.source import Source

Floats = NDArray[np.float32]


def computed(model: ModelProto, imgs: Floats) -> list[Floats]:
    """Its outputs for imgs (B, C, H, W), by one thread of onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {IMAGES: imgs}))


def random_images(source: Source, batch: int) -> Floats:
    """(batch, C, H, W) in [0, 1)."""
    width, height = source.size
    return np.random.default_rng(1).random((batch, source.netdef.net.channels, height, width), np.float32)


def quick_weights(netdef: NetDef) -> Weights:
    """Random float32 weights with γ in 0.3 … 0.7, drawn fast: large networks have 60 million."""
    weights = random_weights(netdef, np.random.default_rng(0))

    def tamed(record: ConvParams) -> ConvParams:
        if record.gamma is None:
            return record
        gamma = np.float32(0.3) + np.float32(0.2) * record.gamma
        return ConvParams(record.weight, record.bias, gamma, record.mean, record.var)

    records = {i: tamed(r) if isinstance(r, ConvParams) else r for i, r in weights.records.items()}
    return Weights(weights.header, records)
