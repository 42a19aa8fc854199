"""The processor, as the system describes it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Flags of processors that multiply bf16: AVX512-BF16 and AMX-BF16 of x86, BF16 of ARM."""


def cpuinfo() -> dict[str, str]:
    """The fields of the first processor; empty if the system has no /proc/cpuinfo."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    return found


def cpu_flags() -> set[str]:
    """The instruction sets of the first processor, as Linux names them."""
    fields = cpuinfo()
    return set(fields.get("flags", fields.get("Features", "")).split())


def has_bf16() -> bool:
    """Whether this processor multiplies bf16 itself: about twice as fast as float32. Without, it is slower."""
    return bool(BF16_FLAGS & cpu_flags())
