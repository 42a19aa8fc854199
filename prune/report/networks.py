"""A network ready to look at pictures, with a title to put above them."""

from __future__ import annotations

from pathlib import Path

from prune.darknet.netdef import NetDef
from prune.graph.cost import network_cost
from prune.model.build import DarknetModel, build
from prune.model.state import load_weights
from prune.train.device import select_device
from prune.train.start import read_exact


def load_network(netdef: NetDef, weights: Path, device: str) -> DarknetModel:
    """The network with its weights on `device` (auto, cpu, cuda, cuda:N). Raises WeightsError, UsageError."""
    place = select_device(device)
    load_weights(model := build(netdef), read_exact(weights, netdef))
    return model.to(place)


def network_title(role: str, netdef: NetDef) -> str:
    """`pruned: cut/pruned.cfg, 0.86 M parameters`."""
    path = Path(netdef.path).absolute()
    return f"{role}: {path.parent.name}/{path.name}, {network_cost(netdef).parameters / 1e6:.2f} M parameters"
