"""The machine: its processors and GPUs, and how torch uses them. Imports torch only inside functions."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from prune.model.processor import cpu_flags, cpuinfo, has_bf16

FEATURES = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_int8",
    "amx_bf16", "asimd", "asimddp", "sve", "i8mm", "bf16",
)  # fmt: skip
"""Flags of /proc/cpuinfo that matter for the speed of a network (x86 and ARM)."""
DARKNET_LIBRARY = Path("/usr/lib/darknet/libdarknet.so")


def cpu() -> dict[str, Any]:
    """Model, cores (all, and those this process may use) and `features`."""
    fields, flags = cpuinfo(), cpu_flags()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "model": fields.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "features": [name for name in FEATURES if name in flags],
        "bf16": has_bf16(),
    }


def torch_on_cpu() -> dict[str, Any]:
    """How torch computes on this machine: threads, instruction set, libraries."""
    import torch

    backends: Any = torch.backends  # partly untyped
    return {
        "threads": torch.get_num_threads(),
        "cpu_capability": backends.cpu.get_cpu_capability(),
        "mkl": backends.mkl.is_available(),
        "onednn": backends.mkldnn.is_available(),
        "openmp": backends.openmp.is_available(),
    }


def gpus() -> list[dict[str, Any]]:
    """The GPUs that torch can use, in the order of `--device cuda:N`."""
    import torch

    found = []
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(number)
        found.append(
            {
                "device": f"cuda:{number}",
                "name": properties.name,
                "memory_bytes": properties.total_memory,
                "compute_capability": f"{properties.major}.{properties.minor}",
                "cuda": torch.version.cuda,
            }
        )
    return found


def no_gpu() -> str:
    """Why no GPU can be used."""
    import torch

    return "none found" if torch.version.cuda or torch.version.hip else "none: this torch is built without CUDA"


def darknet() -> str | None:
    """The path of Darknet itself, the reference of some tests; None if it is not installed."""
    return shutil.which("darknet") or (str(DARKNET_LIBRARY) if DARKNET_LIBRARY.is_file() else None)
