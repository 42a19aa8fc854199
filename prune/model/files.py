"""Weights from files of every kind, as records or as a network ready to use: the only place where a network is opened.

A `.pt` contains plain types and tensors only, so that `torch.load(weights_only=True)` reads it anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prune.darknet.netdef import NetDef
from prune.darknet.records import Header, Weights
from prune.darknet.soundness import check_checkpoint_kind, check_values
from prune.darknet.weights import read_weights
from prune.errors import WeightsError
from prune.files.impostors import HEAD
from prune.model.build import DarknetModel
from prune.model.content import check_sum
from prune.model.device import select_device
from prune.model.peers import is_ours, peer_weights
from prune.model.state import load_weights, to_weights
from prune.model.states import misfit

State = dict[str, Tensor]
FORMAT = 1
CHECKPOINT_SUFFIXES = (".pt", ".pth")
# Other programs store a numpy scalar (their best fitness) in last.pt; these few names let it be read without
# unpickling code.
NUMPY_SCALARS: list[Any] = [
    np.float64(0).__reduce__()[0],
    np.dtype,
    *{type(np.dtype(kind)) for kind in "fdilq?"},
]


def read_exact(path: Path, netdef: NetDef) -> Weights:
    """The weights of `netdef` from a .weights file or a .pt (ours: the averaged weights).

    Raises WeightsError where they do not fit the cfg exactly.
    """
    return read_checkpoint_weights(path, netdef) if path.suffix in CHECKPOINT_SUFFIXES else read_weights(path, netdef)


def load_network(netdef: NetDef, weights: Path, device: str) -> DarknetModel:
    """The network with the weights of a file, on `device` (auto, cpu, cuda, cuda:N).

    Raises WeightsError, UsageError.
    """
    return network_of(netdef, read_exact(weights, netdef), device)


def network_of(netdef: NetDef, weights: Weights, device: str) -> DarknetModel:
    """The network with these weights on `device`. Raises WeightsError, UsageError."""
    place = select_device(device)
    load_weights(model := DarknetModel(netdef), weights)
    return model.to(place)


def read_checkpoint_weights(path: Path, netdef: NetDef, advice: str = "is it of another cfg?") -> Weights:
    """The weights of `netdef` in a .pt, ours or another program's; `advice` ends the message where they do not fit.

    Raises WeightsError.
    """
    with path.open("rb") as file:
        check_checkpoint_kind(path, file.read(HEAD))
    content = load_plain(path)
    state = pick_state(path, content)
    if is_ours(state):
        found = _own_weights(path, state, netdef, advice)
        seen = content.get("seen", 0)
        found = replace(found, header=Header(seen=int(seen) if isinstance(seen, (int, float)) else 0))
    else:
        found = peer_weights(path, state, netdef)
    check_values(path, found)
    return found


def _own_weights(path: Path, state: State, netdef: NetDef, advice: str) -> Weights:
    model = DarknetModel(netdef)
    if what := misfit(model, state):
        raise WeightsError(path, f"does not fit {netdef.path}: {what}; {advice}")
    model.load_state_dict(state)
    return to_weights(model)


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
        raise WeightsError(path, f"contains a {type(content).__name__}, not a dict of weights")
    if is_ours_in_full(content):
        check_sum(path, content)
    return dict(content)


def is_ours_in_full(content: Mapping[str, Any]) -> bool:
    return type(content.get("format")) is int and content["format"] == FORMAT


def read_state(path: Path) -> State:
    """A network's state from a .pt file: see `pick_state`. Raises WeightsError where there is none."""
    return pick_state(path, load_plain(path))


def pick_state(path: Path, content: Mapping[Any, Any]) -> State:
    """The state in a .pt's content: ours (the averaged weights), another program's (`ema`, `model`,
    `state_dict`) or a bare one.

    `module.` in front of names (DataParallel, DDP) is removed. Raises WeightsError where there is none.
    """
    for key in ("ema", "model", "state_dict"):
        if isinstance(content.get(key), Mapping):
            content = dict(content[key])
            break
    named = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    state = {strip_module(name): value for name, value in named.items()}
    if not state:
        raise WeightsError(path, "contains no weights: expected a dict of tensors, alone or under 'ema' or 'model'")
    return state


def strip_module(name: str) -> str:
    """`name` without the `module.` that wrappers put in front, once or more."""
    while name.startswith("module."):
        name = name.removeprefix("module.")
    return name
