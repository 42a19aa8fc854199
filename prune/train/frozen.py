"""Frozen layers, which keep their weights while the others train, and the training options of a cfg that are unused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prune.darknet import keys
from prune.darknet.cfg import Section
from prune.darknet.netdef import NetDef
from prune.darknet.options import Options
from prune.errors import CfgError, UsageError
from prune.model.build import DarknetModel


def frozen_layers(netdef: NetDef, asked: int) -> int:
    """How many layers, from the first, keep their weights: `asked`, or if that is 0, what the cfg specifies.

    Darknet's backward pass ends at the last layer with `stopbackward=1`, before that layer's own gradient (its
    `network.c`), so that layer is the last frozen one. Raises UsageError if `asked` exceeds the number of layers.
    """
    if asked > len(netdef.layers):
        raise UsageError(f"--freeze {asked}: {netdef.path} has {len(netdef.layers)} layers")
    stops = [layer.index for layer in netdef.layers if _number(layer.section, "stopbackward") == 1]
    return asked or max(stops, default=-1) + 1


def kept_freeze(asked: int, settings: dict[str, Any]) -> int:
    """`asked`, or if that is 0, what a checkpoint's settings say: a resumed run freezes the layers it froze before."""
    before = settings.get("freeze", 0)
    return asked or (before if isinstance(before, int) and not isinstance(before, bool) and before > 0 else 0)


def freeze(model: DarknetModel, layers: int) -> None:
    """Freeze the first `layers` layers. Raises UsageError if nothing would be left to train."""
    model.freeze(layers)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(
            f"{model.netdef.path}: the first {layers} layers contain all weights, nothing is left to train; "
            "lower --freeze or remove stopbackward"
        )


def unfollowed(netdef: NetDef) -> str | None:
    """One line that names the training options of a cfg that this training ignores; None if there are none."""
    sections = [netdef.net.section, *(layer.section for layer in netdef.layers)]
    names = dict.fromkeys(name for section in sections for name in _unfollowed(section))
    if not names:
        return None
    return f"{netdef.path}: training is set by flags; these options are ignored: {', '.join(names)}"


def _unfollowed(section: Section) -> Iterator[str]:
    known = keys.NOT_FOLLOWED_NET if section.kind in ("net", "network") else keys.NOT_FOLLOWED
    for key in section.options:
        switched_off = key in keys.OFF_AT_ZERO and _number(section, key) == 0
        followed = key == "stopbackward" and _number(section, key) in (0, 1)
        if key in known and not switched_off and not followed:
            yield key


def _number(section: Section, key: str) -> float | None:
    """The number given by an option; None if it is not a number, or absent."""
    try:
        return Options(section, "", []).number(key, 0.0) if key in section.options else None
    except CfgError:
        return None
