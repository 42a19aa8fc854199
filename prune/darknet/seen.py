"""How far training has come according to a weights file, as Darknet reads it."""

from __future__ import annotations

from prune.darknet.netdef import NetDef
from prune.darknet.options import Options
from prune.errors import CfgError

_MOST = 10**15


def clear_note(netdef: NetDef, seen: int) -> str | None:
    """A note that `darknet detector train` needs -clear to train these weights; None where it does not.

    Darknet counts iterations as images seen / batch, and ends as soon as they reach max_batches (its `detector.c`).
    """
    options = Options(netdef.net.section, netdef.path, [])
    try:
        batch = options.integer("batch", 1, low=1, high=_MOST)
        most = options.integer("max_batches", 0, low=0, high=_MOST)
    except CfgError:  # nothing else here reads these options: no reason to fail
        return None
    if not seen or seen // batch < most:
        return None
    done = f"the weights have seen {seen:,} images, {seen // batch:,} batches of {batch}"
    fix = "pass -clear to it" if most else "pass -clear to it and set max_batches in [net]"
    return f"{done}; max_batches={most}: 'darknet detector train' would stop at once, {fix}"
