"""The type of number in which the network computes in training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from prune.errors import UsageError
from prune.model.processor import has_bf16
from prune.train.settings import Amp

AMPERE = (8, 0)
"""The first compute capability of CUDA with bf16."""


@dataclass(frozen=True, slots=True)
class Precision:
    """dtype: that of convolutions under autocast; None: float32 throughout. `note`: what is worth a line."""

    dtype: torch.dtype | None = None
    note: str | None = None

    @property
    def scaled(self) -> bool:
        """Whether the loss must be scaled, or small gradients would vanish."""
        return self.dtype is torch.float16


def choose_precision(amp: Amp, device: torch.device) -> Precision:
    """What `amp` means on a device. Raises UsageError for fp16 on the CPU."""
    if amp == "off":
        return Precision()
    units = has_bf16() if device.type == "cpu" else torch.cuda.get_device_capability(device) >= AMPERE
    if amp == "bf16":
        slow = f"--amp bf16: this {device.type} has no bf16 units, float32 is faster here"
        return Precision(torch.bfloat16, None if units else slow)
    if amp == "fp16" and device.type == "cpu":
        raise UsageError("--amp fp16: a CPU cannot train in fp16; use --amp bf16, or --amp auto")
    if amp == "auto" and units:
        return Precision(torch.bfloat16)
    if device.type == "cpu":
        return Precision(None, "--amp auto: this cpu has no bf16 units, float32 is used, which is faster here")
    return Precision(torch.float16)
