"""Checks the fields of a checkpoint that was read from a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prune.errors import WeightsError

Rule = tuple[Callable[[Any], bool], str]
MOST = 2**62


def check_fields(path: Path, content: Mapping[str, Any]) -> None:
    """Raise WeightsError naming the first field of `content` that is not of its required form."""
    for name, (is_valid, what) in RULES.items():
        if name in content and not is_valid(content[name]):
            raise WeightsError(
                path, f"'{name}' is not {what}: the file is damaged or was edited; use another checkpoint"
            )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _is_state(value: Any) -> bool:
    return _is_dict(value) and len(value) > 0 and all(_is_finite_tensor(item) for item in value.values())


def _is_finite_tensor(value: Any) -> bool:
    return _is_plain_tensor(value) and bool(torch.isfinite(value).all())


def _is_plain_tensor(value: Any) -> bool:
    plain = isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
    return plain and not value.is_quantized


def _are_numbers(value: Any) -> bool:
    return _is_dict(value) and all(type(item) in (int, float) and math.isfinite(item) for item in value.values())


def _are_generators(value: Any) -> bool:
    names = _is_dict(value) and all(key == "cpu" or _is_cuda(key) for key in value)
    return names and all(_is_plain_tensor(item) and item.dtype == torch.uint8 for item in value.values())


def _is_cuda(name: str) -> bool:
    return name.startswith("cuda:") and name[5:].isdecimal()


def _are_settings(value: Any) -> bool:
    return _is_dict(value) and all(item is None or isinstance(item, (bool, int, float, str)) for item in value.values())


def _are_states(value: Any) -> bool:
    plain = (bool, int, float, str)
    return _is_dict(value) and all(isinstance(item, plain) or _is_finite_tensor(item) for item in value.values())


def _is_optimizer(value: Any) -> bool:
    """The form of `Optimizer.state_dict()`, or empty (best.pt)."""
    if not _is_dict(value) or not value:
        return _is_dict(value)
    state, groups = value.get("state"), value.get("param_groups")
    states = isinstance(state, Mapping) and all(_is_dict(item) for item in state.values())
    return states and isinstance(groups, list) and all(map(_is_group, groups))


def _is_group(value: Any) -> bool:
    numbers = value.get("params") if _is_dict(value) else None
    return isinstance(numbers, list) and all(type(number) is int for number in numbers)


_COUNT: Rule = (_is_count, "a whole number of at least 0")
_STATE: Rule = (_is_state, "a dict of finite tensors by name")
_NUMBERS: Rule = (_are_numbers, "a dict of finite numbers")
RULES: dict[str, Rule] = {
    "cfg": (_is_text, "text"),
    "model": _STATE,
    "ema": _STATE,
    "ema_updates": _COUNT,
    "optimizer": (_is_optimizer, "an optimiser's state"),
    "scaler": (_is_dict, "a dict"),
    "epoch": _COUNT,
    "step": _COUNT,
    "seen": _COUNT,
    "best": _NUMBERS,
    "last": _NUMBERS,
    "rng": (_are_generators, "a dict of random states by device"),
    "hooks": (_are_states, "a dict of tensors and plain values"),
    "settings": (_are_settings, "a dict of plain values"),
}
