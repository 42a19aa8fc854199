"""Outputs and gradients of whole networks on the device against the CPU, in float32."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu_budget import Budget, Result
from benchmarks.gpu_setting import Setting
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import random_weights
from prune.detect.loss import YoloLoss
from prune.detect.settings import LossSettings
from prune.model.build import DarknetModel
from prune.model.state import load_weights

TOLERANCE = 1e-3
IMAGES, OBJECTS = 2, 8


def parity(setting: Setting, budget: Budget) -> Result:
    """Largest deviations relative to the largest value (outputs) and to the norm (gradients)."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    rows = [budget.attempt(budget.left, partial(_compare, setting, cfg)) for cfg in (setting.tiny, setting.full)]
    deviations = [row[key] for row in rows for key in ("outputs", "gradients") if key in row]
    return {"rows": rows, "tolerance": TOLERANCE, "ok": max(deviations, default=0.0) <= TOLERANCE}


def _compare(setting: Setting, cfg: Path) -> Result:
    model = _model(cfg)
    outputs, gradients, loss = _run(model, setting.size, torch.device("cpu"), torch.contiguous_format)
    there = _run(_model(cfg), setting.size, setting.device, torch.channels_last)
    row: Result = {
        "network": cfg.stem,
        "outputs": max(_deviation(a, b, "max") for a, b in zip(there[0], outputs, strict=True)),
        "gradients": _deviation(torch.cat(there[1]), torch.cat(gradients), "norm"),
        "worst_layer": max(_deviation(a, b, "norm") for a, b in zip(there[1], gradients, strict=True)),
        "loss": abs(there[2] - loss) / abs(loss),
    }
    print("   " + "  ".join(f"{key} {value:.2g}" if isinstance(value, float) else value for key, value in row.items()))
    return row


def _model(cfg: Path) -> DarknetModel:
    netdef = read_netdef(cfg)
    model = DarknetModel(netdef)
    load_weights(model, random_weights(netdef, np.random.default_rng(0)))
    return model


def _run(
    model: DarknetModel, size: int, device: torch.device, memory: torch.memory_format
) -> tuple[list[Tensor], list[Tensor], float]:
    """The heads' inputs in eval mode, and the gradients and loss of a training step, on the CPU in float64."""
    rng = np.random.default_rng(1)
    model.to(device=device, memory_format=memory)  # type: ignore[call-overload]
    imgs = torch.from_numpy(rng.random((IMAGES, 3, size, size), np.float32)).to(device, memory_format=memory)
    targets = torch.from_numpy(_targets(rng, model.heads[0].classes)).to(device)
    with torch.inference_mode():
        outputs = [head.cpu().double() for head in model.eval()(imgs)]
    loss = YoloLoss(model.netdef.heads, LossSettings(), (size, size))
    total = loss(model.train()(imgs), targets, (size, size)).total
    total.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad.cpu().double().flatten() for p in model.parameters() if p.grad is not None]
    return outputs, gradients, total.item()


def _targets(rng: np.random.Generator, classes: int) -> np.ndarray:
    """(n, 6) objects of any class and size: image, class, cxcywh."""
    count = IMAGES * OBJECTS
    sizes = rng.uniform(0.05, 0.4, (count, 2))
    columns = [
        np.arange(count)[:, None] % IMAGES,
        rng.integers(0, classes, (count, 1)),
        rng.uniform(0.25, 0.75, (count, 2)),
    ]
    return np.concatenate([*columns, sizes], axis=1).astype(np.float32)


def _deviation(found: Tensor, expected: Tensor, by: str) -> float:
    """By the largest value or by the Euclidean norm, relative to `expected`."""
    if by == "max":
        return float((found - expected).abs().max() / expected.abs().max())
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))
