"""Checkpoints (`.pt`): plain types and tensors only, so that `torch.load(weights_only=True)` can read them."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from prune.errors import WeightsError
from prune.files.writing import atomic_file
from prune.model.content import CHECKSUM, as_stored, checksum
from prune.model.files import FORMAT, State, is_ours_in_full, load_plain
from prune.train.fields import check_fields

ADDED = ("last", "hooks")
"""Fields that checkpoints of earlier versions of this format lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything a run needs to resume exactly.

    `epoch` and `step` are the next ones to run; `seen` counts images.
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
    """The metrics of the previous epoch, if it was evaluated; files of earlier versions lack them."""
    hooks: dict[str, Any] = field(default_factory=dict)
    """What sparse training remembers, keyed `hook.name`; files of earlier versions lack it."""


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically. Raises OSError (e.g. disk full), leaving an earlier file unchanged."""
    named = {item.name: getattr(checkpoint, item.name) for item in fields(checkpoint)}
    content = as_stored({"format": FORMAT, **named})
    buffer = io.BytesIO()
    torch.save(content | {CHECKSUM: checksum(content)}, buffer)
    with atomic_file(path) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a complete training checkpoint. Raises WeightsError for any other file and for fields of the wrong type."""
    content = load_plain(path)
    names = [item.name for item in fields(Checkpoint)]
    missing = [name for name in names if name not in content and name not in ADDED]
    if not is_ours_in_full(content) or missing:
        raise WeightsError(path, "is not a checkpoint of this project's training; start with --weights instead")
    check_fields(path, content)
    return Checkpoint(**{name: content[name] for name in names if name in content})


def rng_state() -> State:
    """The states of torch's generators, as tensors. (Data and schedules depend only on the seed and the epoch.)"""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda:{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_rng(states: State) -> None:
    """Restore the generators; devices that this machine lacks are skipped."""
    for name, state in states.items():
        if name == "cpu":
            torch.set_rng_state(state)
        elif torch.cuda.is_available() and int(name.partition(":")[2]) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, name)
