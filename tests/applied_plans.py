"""A plan made of masks and blocks, applied at once."""

from __future__ import annotations

from prune.darknet.netdef import NetDef
from prune.darknet.records import Weights
from prune.plan.types import ChannelMask, PrunePlan, digest
from prune.surgery.apply import Pruned, apply
from tests.small_cfgs import ADD, cbl


def applied(
    netdef: NetDef, weights: Weights, masks: tuple[ChannelMask, ...] = (), removed: tuple[int, ...] = ()
) -> Pruned:
    return apply(netdef, weights, PrunePlan(digest(netdef, weights), masks, removed))


BLOCK = cbl(2) + cbl(4) + ADD
