"""The policy in a stored plan: how it came about, for people to read; what this project writes into it is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prune.darknet.netdef import MOST_LAYERS
from prune.darknet.shapes import MOST_CHANNELS
from prune.errors import UsageError
from prune.plan import fields
from prune.plan.target import MEASURES


def parse_policy(value: Any) -> dict[str, Any]:
    """The policy. Raises ValueError where a known value is of another form."""
    policy = fields.mapping(value, "policy")
    for name, check in _CHECKS.items():
        if name in policy:
            check(policy[name], name)
    return policy


def _count(value: Any, name: str) -> None:
    fields.whole(value, name, MOST_LAYERS)


def _multiple(value: Any, name: str) -> None:
    fields.whole(value, name, MOST_CHANNELS, low=1)


def _targets(value: Any, name: str) -> None:
    for measure, amount in fields.mapping(value, name).items():
        fields.one_of(measure, f"{name} name", list(MEASURES))
        try:
            MEASURES[measure].parse(fields.word(amount, measure))
        except UsageError as cause:
            raise ValueError(str(cause)) from cause


def _bounds(value: Any, name: str) -> None:
    for pair in fields.mapping(value, name).values():
        for share in fields.sequence(pair, name):
            fields.fraction(share, name)


_CHECKS: Mapping[str, Callable[[Any, str], object]] = {
    **dict.fromkeys(("kind", "rule", "tie"), fields.word),
    **dict.fromkeys(("percent", "layer_keep"), fields.fraction),
    "auto": fields.truth,
    "shortcuts": _count,
    "multiple_of": _multiple,
    "targets": _targets,
    "bounds": _bounds,
}
