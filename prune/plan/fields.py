"""Values of a plan's JSON, checked for what they must be: nothing is rounded, converted or left out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from prune.darknet.cfg import shown

Word = TypeVar("Word", bound=str)


def load_strict(text: str) -> Any:
    """The content of a JSON text. Raises ValueError (json.JSONDecodeError where it is not JSON) where it is nested too
    deeply, has a duplicate key, or a number that is NaN, infinite or too large."""
    try:
        return json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=_no_number,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def member(document: Any, name: str) -> Any:
    """The value of a key. Raises ValueError where it is missing, or `document` is not an object."""
    if not isinstance(document, Mapping):
        raise ValueError(f"an object with '{name}' is needed, not {_shown(document)}")
    if name not in document:
        raise ValueError(f"'{name}' is missing")
    return document[name]


def mapping(value: Any, name: str) -> dict[str, Any]:
    """An object. Raises ValueError for anything else."""
    if not isinstance(value, Mapping):
        raise ValueError(f"'{name}' must be an object, not {_shown(value)}")
    return dict(value)


def sequence(value: Any, name: str) -> Sequence[Any]:
    """A list. Raises ValueError for anything else."""
    if not isinstance(value, list):
        raise ValueError(f"'{name}' must be a list, not {_shown(value)}")
    return value


def word(value: Any, name: str) -> str:
    """A text of one line. Raises ValueError for anything else."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"'{name}' must be a text of one line, not {_shown(value)}")
    return value


def one_of(value: Any, name: str, words: Sequence[Word]) -> Word:
    """One of some words. Raises ValueError for anything else."""
    for known in words:
        if value == known:
            return known
    raise ValueError(f"'{name}' must be one of {', '.join(words)}, not {_shown(value)}")


def whole(value: Any, name: str, high: int, low: int = 0) -> int:
    """A whole number within [low, high]. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"'{name}' must be a whole number from {low} to {high}, not {_shown(value)}")
    return value


def wholes(value: Any, name: str, high: int) -> tuple[int, ...]:
    """Different whole numbers within [0, high]. Raises ValueError for anything else."""
    found = tuple(whole(entry, name, high) for entry in sequence(value, name))
    if len(set(found)) < len(found):
        raise ValueError(f"'{name}' contains a duplicate number")
    return found


def fraction(value: Any, name: str) -> float:
    """A number within [0, 1]. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"'{name}' must be a number from 0 to 1, not {_shown(value)}")
    return float(value)


def truth(value: Any, name: str) -> bool:
    """true or false. Raises ValueError for anything else."""
    if not isinstance(value, bool):
        raise ValueError(f"'{name}' must be true or false, not {_shown(value)}")
    return value


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict[str, Any]()
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key '{shown(key)}'")
        found[key] = value
    return found


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"the number {shown(text)} is too large")
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _shown(value: Any) -> str:
    """The beginning of a value, in one line."""
    if isinstance(value, (Mapping, list)):
        return "an object" if isinstance(value, Mapping) else "a list"
    return shown(repr(value))
