"""The device of tensors, and the random seed."""

from __future__ import annotations

import torch

from prune.errors import UsageError


def select_device(name: str) -> torch.device:
    """`auto` (cuda where available), `cpu`, `cuda` or `cuda:N`.

    Raises UsageError for anything else and for a device that does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: this machine or this torch has no CUDA; use --device cpu")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    return torch.device(name)


def seed_everything(seed: int) -> None:
    """Seed torch, the only global generator in use, and ask cuDNN for deterministic kernels."""
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
