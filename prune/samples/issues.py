"""Counts what was skipped or noticed in a dataset, and where."""

from __future__ import annotations

import logging
from collections.abc import Iterator

logger = logging.getLogger(__name__)


class Issues:
    """How often each kind of issue occurred, and the places where it did.

    An issue in one image or label never stops a run: it is counted here and reported once at the end. Collections of
    faults (what was skipped) and of remarks (what was read in another way than it is written) are kept apart.
    """

    def __init__(self, named: int = 3, kept: int = 1000) -> None:
        """A report names the first `named` places of each kind, `places` returns the first `kept`; the rest is
        counted."""
        self._named, self._kept = named, max(named, kept)
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}

    def add(self, kind: str, place: object) -> None:
        """Counts one issue; `place` is `path`, or `path:line`."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        places = self._places.setdefault(kind, [])
        if len(places) < self._kept:
            places.append(str(place))

    def merge(self, other: Issues) -> None:
        """Adds all of `other`'s counts and its places, up to the limit."""
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
        """How many there are of all kinds."""
        return sum(self._counts.values())

    def __bool__(self) -> bool:
        return bool(self._counts)

    def lines(self) -> Iterator[str]:
        """One line per kind: `2 × label line is not five numbers: a.txt:3, b.txt:1`."""
        for kind, count in self._counts.items():
            different = list(dict.fromkeys(self._places[kind]))
            named = different[: self._named]
            more = ", …" if len(different) > len(named) else ""
            yield f"{count} × {kind}: {', '.join(named)}{more}"

    def summary(self) -> str:
        """The lines together; empty where there was nothing."""
        return "\n".join(self.lines())

    def log(self) -> None:
        """Logs one warning per kind."""
        for line in self.lines():
            logger.warning("%s", line)
