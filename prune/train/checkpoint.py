"""Checkpoints (`.pt`): plain types and tensors only, so that `torch.load(weights_only=True)` reads them
anywhere.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prune.darknet.files import atomic_file
from prune.errors import WeightsError
from prune.train.content import CHECKSUM, as_stored, check_sum, checksum
from prune.train.fields import check_fields

State = dict[str, Tensor]
FORMAT = 1
ADDED = ("last",)
"""Fields that checkpoints of earlier versions of this format lack."""
# Peers keep a numpy scalar (their best fitness) in last.pt; these few names let it be read without unpickling
# code.
NUMPY_SCALARS: list[Any] = [
    np.float64(0).__reduce__()[0],
    np.dtype,
    *{type(np.dtype(kind)) for kind in "fdilq?"},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything a run needs to go on exactly.

    `epoch` and `step` are the next to be done; `seen` counts images.
    """

    cfg: str
    model: State
    ema: State
    ema_updates: int
    optimizer: dict[str, Any]
    scaler: dict[str, Any] = field(default_factory=dict)
    epoch: int
    step: int
    seen: int
    best: dict[str, float] = field(default_factory=dict)
    rng: State = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    """The metrics of the epoch before, where it was measured; files of earlier versions have none."""


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically. Raises OSError (a full disk) and then leaves an earlier file as it was."""
    named = {item.name: getattr(checkpoint, item.name) for item in fields(checkpoint)}
    content = as_stored({"format": FORMAT, **named})
    buffer = io.BytesIO()
    torch.save(content | {CHECKSUM: checksum(content)}, buffer)
    with atomic_file(path) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of ours in full. Raises WeightsError for anything else, and for fields of a wrong kind."""
    content = load_plain(path)
    names = [item.name for item in fields(Checkpoint)]
    missing = [name for name in names if name not in content and name not in ADDED]
    if not _is_ours(content) or missing:
        raise WeightsError(path, "is not a checkpoint of this project's training; start with --weights instead")
    check_fields(path, content)
    return Checkpoint(**{name: content[name] for name in names if name in content})


def load_plain(path: Path) -> dict[str, Any]:
    """The dict in a .pt file, tensors on the CPU.

    Raises WeightsError where it contains code, is not a dict, or is ours and damaged; FileNotFoundError.
    """
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as cause:  # damaged bytes may make the unpickler raise anything
        message = "is not a readable .pt file of plain tensors: truncated, of another kind, or with code in it"
        raise WeightsError(path, message) from cause
    if not isinstance(content, Mapping):
        raise WeightsError(path, f"holds a {type(content).__name__}, not a dict of weights")
    if _is_ours(content):
        check_sum(path, content)
    return dict(content)


def _is_ours(content: Mapping[str, Any]) -> bool:
    return type(content.get("format")) is int and content["format"] == FORMAT


def read_state(path: Path) -> State:
    """A network's state from a .pt file: see `pick_state`. Raises WeightsError where there is none."""
    return pick_state(path, load_plain(path))


def pick_state(path: Path, content: Mapping[Any, Any]) -> State:
    """The state in a .pt's content: ours (the averaged weights), a peer's (`ema`, `model`, `state_dict`) or a
    bare one.

    `module.` in front of names (DataParallel, DDP) is taken off. Raises WeightsError where there is none.
    """
    for key in ("ema", "model", "state_dict"):
        if isinstance(content.get(key), Mapping):
            content = dict(content[key])
            break
    named = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    state = {strip_module(name): value for name, value in named.items()}
    if not state:
        raise WeightsError(path, "holds no weights: expected a dict of tensors, alone or under 'ema' or 'model'")
    return state


def strip_module(name: str) -> str:
    """`name` without the `module.` that wrappers put in front, once or more."""
    while name.startswith("module."):
        name = name.removeprefix("module.")
    return name


def rng_state() -> State:
    """The states of torch's generators, as tensors. (Data and schedules draw from the seed and the epoch
    alone.)
    """
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda:{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_rng(states: State) -> None:
    """Put the generators back; devices that are not here are left out."""
    for name, state in states.items():
        if name == "cpu":
            torch.set_rng_state(state)
        elif torch.cuda.is_available() and int(name.partition(":")[2]) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, name)
