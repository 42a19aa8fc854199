"""The forward pass compiled by torch.compile, which leaves the network and the names of its weights as they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor, nn

from prune.errors import UsageError

Forward = Callable[[Tensor], list[Tensor]]
COMPILERS = ("g++", "clang++", "cl")


def compile_forward(model: nn.Module, device: torch.device) -> Forward:
    """The forward pass of `model` in training, compiled when it is first called, and again for another input size.

    Raises UsageError where a compiler is missing, and at the first call if it fails.
    """
    if missing := missing_compiler(device):
        raise UsageError(f"--compile: {missing}; install it, or leave out --compile")
    compiled = cast(Forward, torch.compile(model))

    def forward(imgs: Tensor) -> list[Tensor]:
        try:
            return compiled(imgs)
        except torch._dynamo.exc.TorchDynamoException as cause:
            reason = " ".join(str(cause).split())[:160]
            raise UsageError(f"--compile: fails on this machine ({reason}); leave out --compile") from cause

    return forward


def missing_compiler(device: torch.device) -> str | None:
    """Which compiler torch.compile lacks for a device; None if it has one."""
    if device.type == "cuda":
        return None if find_spec("triton") else "the package triton is missing"
    named = os.environ.get("CXX")
    if any(shutil.which(name) for name in ([named] if named else COMPILERS)):
        return None
    return f"no C++ compiler was found ({named or ', '.join(COMPILERS)})"
