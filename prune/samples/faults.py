"""Counting and naming of what was skipped in a data set."""

from __future__ import annotations

import logging
from collections.abc import Iterator

logger = logging.getLogger(__name__)


class Faults:
    """How often each kind of fault occurred, and where it did first.

    A fault in one image or label never stops a run: it is skipped, counted here, and reported once at the
    end.
    """

    def __init__(self, named: int = 3, kept: int = 1000) -> None:
        """`named` places per kind stand in a report, `kept` can be asked for; the rest is only counted."""
        self._named, self._kept = named, max(named, kept)
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}

    def add(self, kind: str, place: object) -> None:
        """Counts one fault; `place` is `path`, or `path:line`."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        places = self._places.setdefault(kind, [])
        if len(places) < self._kept:
            places.append(str(place))

    def merge(self, other: Faults) -> None:
        """Adds all of `other`'s counts and, as far as there is room, its places."""
        for kind, count in other._counts.items():
            self._counts[kind] = self._counts.get(kind, 0) + count
            places = self._places.setdefault(kind, [])
            places.extend(other._places[kind][: self._kept - len(places)])

    @property
    def counts(self) -> dict[str, int]:
        """Kind → how often, in the order of first occurrence (a copy)."""
        return dict(self._counts)

    def places(self, kind: str) -> tuple[str, ...]:
        """The kept places of a kind, in order; none for a kind that did not occur."""
        return tuple(self._places.get(kind, ()))

    @property
    def total(self) -> int:
        """All faults together."""
        return sum(self._counts.values())

    def __bool__(self) -> bool:
        return bool(self._counts)

    def lines(self) -> Iterator[str]:
        """One line a kind: `2 × label line is not five numbers: a.txt:3, b.txt:1`."""
        for kind, count in self._counts.items():
            different = list(dict.fromkeys(self._places[kind]))
            named = different[: self._named]
            more = ", …" if len(different) > len(named) else ""
            yield f"{count} × {kind}: {', '.join(named)}{more}"

    def summary(self) -> str:
        """The lines together; empty where there was no fault."""
        return "\n".join(self.lines())

    def log(self) -> None:
        """Warns once a kind."""
        for line in self.lines():
            logger.warning("%s", line)
