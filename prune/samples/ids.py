"""Ids of images and categories, however a tool has written them: `1`, `1.0` and `"1"` are the same number."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Place = TypeVar("Place", bound=Hashable)

_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}")


def number_id(value: object) -> int | None:
    """A whole number, also as a float or as text; None for anything else. (JSON's `true` is not a number.)"""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()) else None


def plain_id(value: object) -> int | str | None:
    """An image's id: whole floats as integers, text unchanged; None for anything that cannot be an id."""
    return value if isinstance(value, str) else number_id(value)


class Ids(Generic[Place]):
    """Finds what belongs to an id: by the id itself, or by the only id with the same number.

    `000012`, a file's name, is also found as 12, as tools that want numbers write it. Where two ids have the same
    number (`"7"` and `"07"`), only the exact id is found.
    """

    def __init__(self, places: Iterable[tuple[int | str, Place]]) -> None:
        """`places`: each id with what belongs to it; of equal ids the first is used."""
        self._exact: dict[int | str, Place] = {}
        self._numbers: dict[int, set[int | str]] = {}
        for own, place in places:
            self._exact.setdefault(own, place)
            if (number := number_id(own)) is not None:
                self._numbers.setdefault(number, set()).add(own)

    def find(self, value: object) -> Place | None:
        """What belongs to the id `value`; None where it is unknown or ambiguous."""
        key = plain_id(value)
        if key is None:
            return None
        if key in self._exact:
            return self._exact[key]
        number = number_id(key)
        same = self._numbers.get(number, set()) if number is not None else set()
        return self._exact[next(iter(same))] if len(same) == 1 else None
