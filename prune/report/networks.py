"""The title of a network above its pictures."""

from __future__ import annotations

from pathlib import Path

from prune.darknet.netdef import NetDef
from prune.graph.cost import network_cost


def network_title(role: str, netdef: NetDef) -> str:
    """`pruned: cut/pruned.cfg, 0.86 M parameters`."""
    path = Path(netdef.path).absolute()
    return f"{role}: {path.parent.name}/{path.name}, {network_cost(netdef).parameters / 1e6:.2f} M parameters"
